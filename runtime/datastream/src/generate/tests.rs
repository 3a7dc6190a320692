//! Programs, and the graphs that they become.

use std::rc::Rc;

use thalweg_core::configuration::Configuration;
use thalweg_core::ids::{JobId, OperatorId};
use thalweg_core::job_graph::{JobGraph, ShipStrategy};
use thalweg_operators::FunctionResult;
use thalweg_operators::code::JobCode;
use thalweg_operators::source::{Boundedness, ReaderContext, Source, SourceSplit, SplitReader};
use thalweg_operators::time::WatermarkStrategy;

use crate::executor::{ExecuteError, Executor, JobExecutionResult};
use crate::{DataStream, StreamExecutionEnvironment};

/// Describes only.
struct Nobody(Configuration);

impl Executor for Nobody {
    fn configuration(&self) -> &Configuration {
        &self.0
    }
    fn next_job_id(&self) -> JobId {
        JobId::new(7)
    }
    fn execute(&self, _job: JobCode) -> Result<JobExecutionResult, ExecuteError> {
        Err(ExecuteError::CaptureEnded)
    }
    fn once(
        &self,
        _name: &str,
        compute: &mut dyn FnMut() -> FunctionResult<Vec<u8>>,
    ) -> Result<Vec<u8>, ExecuteError> {
        compute().map_err(ExecuteError::Cluster)
    }
}

/// Never read.
struct Numbers;

impl Source for Numbers {
    type Row = u64;
    fn boundedness(&self) -> Boundedness {
        Boundedness::Bounded
    }
    fn enumerate(&self, _parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        Ok(Vec::new())
    }
    fn open(
        &self,
        _split: &SourceSplit,
        _position: Option<&[u8]>,
        _context: &ReaderContext,
    ) -> FunctionResult<Box<dyn SplitReader<u64>>> {
        Err("these tests run nothing".into())
    }
}

fn environment() -> StreamExecutionEnvironment {
    let env = StreamExecutionEnvironment::new(Rc::new(Nobody(Configuration::default())));
    env.set_parallelism(2);
    env
}

fn numbers(env: &StreamExecutionEnvironment, name: &str) -> DataStream<u64> {
    env.from_source(Numbers, WatermarkStrategy::no_watermarks(), name)
}

type Describe = fn(&StreamExecutionEnvironment);

/// The vertices with their parallelism, and the edges, as text.
fn picture(graph: &JobGraph) -> (Vec<String>, Vec<String>) {
    let vertices = graph.vertices.iter().map(|v| format!("{} x{}", v.name, v.parallelism));
    let place = |id| graph.vertices.iter().position(|v| v.id == id).unwrap();
    let edges = graph.edges.iter().map(|e| {
        let (from, to) = (place(e.from), place(e.to));
        format!("{from}.{} {} {to}:{}", e.from_operator, e.ship.name(), e.input)
    });
    (vertices.collect(), edges.collect())
}

#[test]
fn operators_share_a_task_wherever_rows_only_go_forward() {
    let env = environment();
    let source = numbers(&env, "n");
    let odd = source.filter(|n| n % 2 == 1);
    drop(odd.map(|n| n + 1).name("a"));
    drop(odd.map(|n| n + 2).name("b"));
    drop(odd.map(|n| n + 3).name("slow").set_parallelism(1));
    let sums = odd.key_by(|n| n % 10).reduce(|a, b| a + b);
    drop(sums.union(&[&source]).map(|n| n).name("all"));
    let graph = env.job_graph("chains").unwrap();
    let (vertices, edges) = picture(&graph);
    assert_eq!(vertices, ["Source: n -> Filter -> (a, b) x2", "slow x1", "Reduce x2", "all x2"]);
    assert_eq!(edges, ["0.1 REBALANCE 1:0", "0.1 HASH 2:0", "2.0 FORWARD 3:0", "0.0 FORWARD 3:0"]);
    let head = &graph.vertices[0];
    assert_eq!(head.operators[1].chained.iter().map(|c| c.to).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(head.source_bounded, Some(true));
}

#[test]
fn chains_end_where_the_program_says_so() {
    for (change, expected) in [
        (0, vec!["Source: n -> Map -> Filter x2"]),
        (1, vec!["Source: n x2", "Map x2", "Filter x2"]),
        (2, vec!["Source: n x2", "Map -> Filter x2"]),
        (3, vec!["Source: n x2", "Map x2", "Filter x2"]),
        (4, vec!["Source: n x2", "Map -> Filter x2"]),
        (5, vec!["Source: n x2", "Map -> Filter x2"]),
    ] {
        let env = environment();
        let source = numbers(&env, "n");
        let map = match change {
            4 => source.rebalance().map(|n| n),
            _ => source.map(|n| n),
        };
        let map = match change {
            1 => map.disable_chaining(),
            2 => map.start_new_chain(),
            5 => map.slot_sharing_group("own"),
            _ => map,
        };
        drop(map.filter(|_| true));
        if change == 3 {
            env.disable_operator_chaining();
        }
        assert_eq!(picture(&env.job_graph("g").unwrap()).0, expected, "change {change}");
    }
}

#[test]
fn an_operators_id_stays_when_something_else_is_added() {
    let ids = |extra: bool| -> Vec<OperatorId> {
        let env = environment();
        if extra {
            drop(numbers(&env, "other").map(|n| n).name("new"));
        }
        let stream = numbers(&env, "n").map(|n| n).name("same").map(|n| n).uid("mine");
        if extra {
            drop(stream.filter(|_| true));
        }
        let graph = env.job_graph("g").unwrap();
        let operators = graph.vertices.iter().flat_map(|v| &v.operators);
        let old = operators.filter(|o| ["Source: n", "same", "Map"].contains(&o.name.as_str()));
        old.map(|o| o.id).collect()
    };
    assert_eq!(ids(false), ids(true));
    assert_eq!(ids(false).len(), 3);
    assert_eq!(ids(false)[2], OperatorId::derive("uid/mine"));
}

#[test]
fn the_fingerprint_tells_programs_apart_but_not_parallelisms() {
    let fingerprint = |parallelism: u32, what: u32| {
        let env = environment();
        env.set_parallelism(parallelism);
        let source = numbers(&env, "n");
        match what {
            0 => drop(source.key_by(|n| *n).reduce(|a, _| a)),
            1 => drop(source.key_by(|n| *n).reduce(|a, _| a).name("other")),
            _ => drop(source.map(|n| n.to_string()).key_by(String::clone).reduce(|a, _| a)),
        }
        env.job_graph("g").unwrap().fingerprint()
    };
    assert_eq!(fingerprint(1, 0), fingerprint(2, 0));
    assert_ne!(fingerprint(1, 0), fingerprint(1, 1));
    assert_ne!(fingerprint(1, 0), fingerprint(1, 2));
}

#[test]
fn what_cant_be_run_is_refused_with_names_and_numbers() {
    let cases: [(&str, Describe); 7] = [
        ("has no operators", |_| ()),
        ("operator \"Map\" has parallelism 200, but its max parallelism is 128", |env| {
            drop(numbers(env, "n").map(|n| n).set_parallelism(200));
        }),
        ("has max parallelism 40000", |env| {
            drop(numbers(env, "n").map(|n| n).set_max_parallelism(40_000));
        }),
        ("described before the last execute()", |env| {
            let stream = numbers(env, "n");
            assert!(env.execute("first").is_err());
            drop(stream.map(|n| n));
        }),
        ("have the uid \"x\"", |env| {
            drop(numbers(env, "n").uid("x").map(|n| n).uid("x"));
        }),
        ("can't forward to \"Map\" (parallelism 3)", |env| {
            drop(numbers(env, "n").forward().map(|n| n).set_parallelism(3));
        }),
        ("of a window is 0 ms", |env| {
            let window = thalweg_operators::windows::WindowAssigner::tumbling(0);
            drop(numbers(env, "n").key_by(|n| *n).window(window).reduce(|a, _| a));
        }),
    ];
    for (expected, describe) in cases {
        let env = environment();
        describe(&env);
        let error = env.job_graph("g").unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}

#[test]
fn slot_sharing_groups_are_inherited_when_the_inputs_agree() {
    let env = environment();
    let own = numbers(&env, "a").slot_sharing_group("own").map(|n| n).name("after a");
    let other = numbers(&env, "b");
    drop(own.union(&[&other]).map(|n| n).name("both"));
    let graph = env.job_graph("g").unwrap();
    let groups: Vec<_> =
        graph.vertices.iter().map(|v| (v.name.as_str(), v.slot_sharing_group.as_str())).collect();
    assert_eq!(
        groups,
        [("Source: a -> after a", "own"), ("Source: b", "default"), ("both", "default")]
    );
    assert!(graph.edges.iter().all(|e| e.ship == ShipStrategy::Forward));
}
