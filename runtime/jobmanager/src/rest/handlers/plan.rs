//! A job's plan: the JobGraph as pages draw it.

use serde::Serialize;

use crate::rest::json::Entries;
use crate::rest::model::{JobFacts, OperatorFacts, VertexFacts};

#[derive(Debug, Serialize)]
pub(crate) struct PlanAnswer<'a> {
    plan: Plan<'a>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Plan<'a> {
    jid: &'a str,
    name: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    nodes: Vec<Node<'a>>,
}

#[derive(Debug, Serialize)]
struct Node<'a> {
    id: &'a str,
    /// Empty in Flink too, since the optimizer of its old DataSet API is gone; so are the other
    /// two members about operators.
    operator: &'static str,
    parallelism: u32,
    operator_strategy: &'static str,
    description: String,
    optimizer_properties: Entries<'static, ()>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    inputs: Vec<Input<'a>>,
}

#[derive(Debug, Serialize)]
struct Input<'a> {
    id: &'a str,
    num: usize,
    exchange: &'a str,
    ship_strategy: &'a str,
}

/// `/jobs/:jobid/plan`.
pub(crate) fn answer(job: &JobFacts) -> PlanAnswer<'_> {
    PlanAnswer { plan: plan(job) }
}

/// The plan, sinks first.
pub(crate) fn plan(job: &JobFacts) -> Plan<'_> {
    let nodes = job.vertices.iter().rev().map(node).collect();
    Plan { jid: &job.id, name: &job.name, kind: job.job_type.name(), nodes }
}

fn node(vertex: &VertexFacts) -> Node<'_> {
    let inputs = vertex.inputs.iter().enumerate().map(|(num, input)| Input {
        id: &input.vertex_id,
        num,
        exchange: &input.exchange,
        ship_strategy: &input.ship_strategy,
    });
    Node {
        id: &vertex.id,
        operator: "",
        parallelism: vertex.parallelism,
        operator_strategy: "",
        description: description(&vertex.operators),
        optimizer_properties: Entries(Vec::new()),
        inputs: inputs.collect(),
    }
}

/// The chain as an indented tree, a line per operator: below its feeder, `:-` where a sibling
/// follows and `+-` where none does.
fn description(operators: &[OperatorFacts]) -> String {
    let mut lines = String::new();
    // Depth first with an explicit stack: a chain may be long. A feeder always comes before what
    // it feeds, so this ends whatever the facts say.
    let mut pending: Vec<(usize, String, &str)> = Vec::new();
    for (index, operator) in operators.iter().enumerate().rev() {
        if operator.chained_to.is_none() {
            pending.push((index, String::new(), ""));
        }
    }
    while let Some((index, indent, branch)) = pending.pop() {
        let operator = &operators[index];
        let text = Some(&operator.description).filter(|d| !d.is_empty()).unwrap_or(&operator.name);
        lines.push_str(&format!("{indent}{branch}{}<br/>", escape(text)));
        let below = match branch {
            "" => indent,
            ":- " => indent + ":  ",
            _ => indent + "   ",
        };
        let fed = operators.iter().enumerate().skip(index + 1);
        let fed = fed.filter(|(_, fed)| fed.chained_to == Some(index)).map(|(place, _)| place);
        for (nth, place) in fed.collect::<Vec<_>>().into_iter().rev().enumerate() {
            let branch = if nth == 0 { "+- " } else { ":- " };
            pending.push((place, below.clone(), branch));
        }
    }
    lines
}

/// Pages put the description into HTML, so a name must not be able to bring tags of its own.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
