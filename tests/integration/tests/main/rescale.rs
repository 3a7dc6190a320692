//! A running job is brought to other parallelisms; what can't be changes nothing.

use thalweg_integration_tests::{Cluster, FraudInput, Process, application, wait_until};

/// The parallelism of the job's first vertex.
fn parallelism(cluster: &Cluster, job: &str) -> Option<u64> {
    let job = cluster.rest.json(&format!("/jobs/{job}"))?;
    job["vertices"][0]["parallelism"].as_u64()
}

#[test]
fn a_job_that_is_rescaled_up_and_down_gives_the_oracles_output() {
    let input = FraudInput::new(15_000, 81);
    let checkpoints = input.path("checkpoints");
    let binary = application("fraud-detection");
    let mut cluster = Cluster::new(
        &binary,
        &[
            ("execution.checkpointing.interval", "500 ms"),
            ("execution.checkpointing.dir", checkpoints.to_str().unwrap()),
            ("slot.request.timeout", "2 s"),
        ],
    );
    let arguments = input.arguments("run", &["--parallelism", "1", "--rate", "700"]);
    cluster.start_job_manager(&arguments);
    cluster.start_task_manager(1);
    let job = cluster.rest.wait_for_job("RUNNING");
    let target = cluster.rest.address().to_owned();
    let rescale = |to: &str| {
        let words = ["rescale", "--target", &target, "--parallelism", to, &job];
        Process::run(to, &binary, &words)
    };
    wait_until("a checkpoint", || {
        cluster.rest.completed_checkpoints(&job).filter(|completed| *completed > 0)
    });
    rescale("129").failed_with(&["129", "max parallelism", "128"]);
    let unknown = "0123456789abcdef0123456789abcdef";
    rescale(&format!("{unknown}=2")).failed_with(&[unknown]);
    // There is one slot: after a while nothing has changed.
    rescale("3").failed_with(&["rescale failed", "3", "taskmanager.numberOfTaskSlots"]);
    assert_eq!(cluster.rest.state(&job).as_deref(), Some("RUNNING"));
    assert_eq!(parallelism(&cluster, &job), Some(1));

    cluster.start_task_manager(2);
    cluster.rest.wait_for_task_managers(2);
    for to in ["3", "2"] {
        rescale(to).succeeded();
        let number = to.parse().unwrap();
        wait_until("the new tasks run", || {
            let running = cluster.rest.state(&job).as_deref() == Some("RUNNING");
            (running && parallelism(&cluster, &job) == Some(number)).then_some(())
        });
    }
    assert_eq!(cluster.rest.job_metric(&job, "numRescales"), Some(2.0));
    cluster.wait().succeeded();
    input.check("run");
}
