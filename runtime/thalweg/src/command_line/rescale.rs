//! The command that brings a running job to another parallelism and waits until it runs with it.

use std::collections::BTreeMap;
use std::process::ExitCode;

use serde::Deserialize;
use serde_json::json;

use super::commands::{CommandError, address, agent, body, exit_code};
use super::operations::{self, trigger_id};
use super::{Parallelism, RescaleOptions};

#[derive(Deserialize)]
struct Job {
    vertices: Vec<Vertex>,
}

#[derive(Deserialize)]
struct Vertex {
    id: String,
    parallelism: u32,
}

/// The parallelism of each vertex after the change. One that is given for no vertex is for those
/// that have the job's parallelism: the highest one. Others were made to be fewer.
fn wanted(job: &Job, asked: &[Parallelism]) -> BTreeMap<String, u32> {
    let highest = job.vertices.iter().map(|vertex| vertex.parallelism).max().unwrap_or(1);
    let mut wanted = BTreeMap::new();
    for vertex in &job.vertices {
        let own = asked.iter().rfind(|asked| asked.vertex.as_deref() == Some(&vertex.id));
        let all = asked.iter().rfind(|asked| asked.vertex.is_none());
        let all = all.filter(|_| vertex.parallelism == highest);
        let parallelism = own.or(all).map_or(vertex.parallelism, |asked| asked.parallelism);
        wanted.insert(vertex.id.clone(), parallelism);
    }
    // One that the job doesn't have is for the JobManager to refuse.
    for asked in asked {
        if let Some(vertex) = &asked.vertex {
            wanted.entry(vertex.clone()).or_insert(asked.parallelism);
        }
    }
    wanted
}

fn run(options: &RescaleOptions) -> Result<(), CommandError> {
    let target = address(&options.target)?;
    let url = format!("http://{target}/jobs/{}", options.job);
    let job: Job = body(&target, agent().get(&url).call())?;
    let wanted = wanted(&job, &options.parallelism);
    let bounds =
        |parallelism: &u32| json!({ "lowerBound": parallelism, "upperBound": parallelism });
    let requirements: BTreeMap<&String, _> =
        wanted.iter().map(|(id, p)| (id, json!({ "parallelism": bounds(p) }))).collect();
    let trigger = trigger_id();
    let put = format!("{url}/resource-requirements?triggerId={trigger}");
    let _: serde_json::Value = body(&target, agent().put(&put).send_json(&requirements))?;
    let outcome = operations::wait(&target, &format!("{url}/rescaling/{trigger}"))?;
    match outcome.and_then(|operation| operation.failure) {
        Some(failure) => {
            let job = options.job.clone();
            Err(CommandError::Failed { job, what: "rescale", cause: failure.text })
        }
        None => {
            let tasks: u32 = wanted.values().sum();
            println!("job {} has {tasks} tasks from now on", options.job);
            Ok(())
        }
    }
}

/// Brings a job to another parallelism and waits until its new tasks are being deployed.
pub fn rescale(options: &RescaleOptions) -> ExitCode {
    exit_code(run(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_for_no_vertex_is_for_those_with_the_jobs_parallelism() {
        let vertex = |id: &str, parallelism| Vertex { id: id.to_owned(), parallelism };
        let job = Job { vertices: vec![vertex("a", 1), vertex("b", 3), vertex("c", 3)] };
        let asked: Vec<Parallelism> = ["5", "c=2"].map(|text| text.parse().unwrap()).into();
        let wanted: Vec<_> = wanted(&job, &asked).into_values().collect();
        assert_eq!(wanted, [1, 5, 2]);
        for bad in ["", "x", "0", "a=", "a=b", "-1"] {
            assert!(bad.parse::<Parallelism>().is_err(), "{bad}");
        }
    }
}
