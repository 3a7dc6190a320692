//! Where an application begins.

use std::cell::Cell;
use std::marker::PhantomData;
use std::rc::Rc;
use std::sync::Arc;

use thalweg_core::configuration::options;
use thalweg_core::job_graph::JobGraph;
use thalweg_core::{Record, RowType};
use thalweg_operators::code::Enumerate;
use thalweg_operators::source::{Boundedness, Source, SourceDriver, SourceOptions, SourceSplit};
use thalweg_operators::{FunctionResult, OperatorInstance};

use crate::data_stream::DataStream;
use crate::executor::{ExecuteError, Executor, JobExecutionResult};
use crate::generate::{self, Defaults, GraphError};
use crate::stream_graph::{SharedGraph, SourceNode, StreamNode, Upstream};

/// Describes streams and executes them.
///
/// Cheap to clone: clones describe the same job.
#[derive(Clone)]
pub struct StreamExecutionEnvironment {
    executor: Rc<dyn Executor>,
    graph: SharedGraph,
    parallelism: Rc<Cell<Option<u32>>>,
    max_parallelism: Rc<Cell<Option<u32>>>,
    chaining: Rc<Cell<Option<bool>>>,
    collected: Rc<Cell<usize>>,
}

impl std::fmt::Debug for StreamExecutionEnvironment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StreamExecutionEnvironment").field("graph", &self.graph).finish()
    }
}

struct EnumerateOf<S>(Arc<S>);

impl<S: Source> Enumerate for EnumerateOf<S> {
    fn enumerate(&self, parallelism: u32) -> FunctionResult<Vec<SourceSplit>> {
        self.0.enumerate(parallelism)
    }
}

impl StreamExecutionEnvironment {
    /// An environment whose jobs `executor` runs. Applications get theirs from the facade.
    pub fn new(executor: Rc<dyn Executor>) -> Self {
        Self {
            executor,
            graph: SharedGraph::default(),
            parallelism: Rc::default(),
            max_parallelism: Rc::default(),
            chaining: Rc::default(),
            collected: Rc::default(),
        }
    }

    /// The parallelism of operators that set none. Unset: `parallelism.default`.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// let env = thalweg::local_environment();
    /// env.set_parallelism(2);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn set_parallelism(&self, parallelism: u32) {
        self.parallelism.set(Some(parallelism));
    }

    /// The number of key groups, and the highest parallelism that the job can ever be brought to.
    /// Fixed while its state is kept. Unset: `pipeline.max-parallelism`.
    pub fn set_max_parallelism(&self, max_parallelism: u32) {
        self.max_parallelism.set(Some(max_parallelism));
    }

    /// Every operator in a task of its own, for finding out which one is slow.
    pub fn disable_operator_chaining(&self) {
        self.chaining.set(Some(false));
    }

    /// Begins a stream with what a source reads.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// # use std::time::Duration;
    /// let env = thalweg::local_environment();
    /// let readings = CollectionSource::new(vec![(1_000i64, 20.5), (2_000, 21.0)]);
    /// let time = WatermarkStrategy::bounded_out_of_orderness(Duration::from_secs(1))
    ///     .with_timestamps(|reading: &(i64, f64)| reading.0);
    /// let stream = env.from_source(readings, time, "readings");
    /// assert_eq!(stream.execute_and_collect()?, [(1_000, 20.5), (2_000, 21.0)]);
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    pub fn from_source<S: Source>(
        &self,
        source: S,
        options: impl Into<SourceOptions<S::Row>>,
        name: &str,
    ) -> DataStream<S::Row> {
        let (source, options) = (Arc::new(source), options.into());
        if let Some(rate) = options.rate.filter(|rate| !(rate.is_finite() && *rate > 0.0)) {
            let operator = format!("Source: {name}");
            self.refuse(GraphError::Rate { operator, rate: rate.to_string() });
        }
        let bounded = source.boundedness() == Boundedness::Bounded;
        let guarantee = source.guarantee();
        let enumerate = Arc::new(EnumerateOf(source.clone()));
        let factory = Arc::new(move || {
            OperatorInstance::Source(Box::new(SourceDriver::new(source.clone(), options.clone())))
        });
        let mut node = StreamNode::new(&format!("Source: {name}"), true, factory);
        node.source = Some(SourceNode { enumerate, bounded });
        node.guarantee = Some(guarantee);
        let node = self.graph.borrow_mut().add(node, &[]);
        DataStream::from_node(self.clone(), node)
    }

    /// A value that comes from outside the program and shapes the job: a time, a file's content,
    /// a random number. Computed once, on the JobManager; wherever the program runs again, after
    /// a restart too, it is the same.
    ///
    /// ```
    /// # use thalweg::prelude::*;
    /// let env = thalweg::local_environment();
    /// let started = env.once("started", || Ok(std::process::id()))?;
    /// assert_eq!(started, std::process::id());
    /// # Ok::<(), thalweg::Error>(())
    /// ```
    ///
    /// # Errors
    /// `compute` fails, or the value was computed by a program with another type for it.
    pub fn once<T: Record>(
        &self,
        name: &str,
        mut compute: impl FnMut() -> FunctionResult<T>,
    ) -> Result<T, ExecuteError> {
        let bytes = self.executor.once(name, &mut || {
            let mut bytes = Vec::new();
            compute()?.encode(&mut bytes);
            Ok(bytes)
        })?;
        T::decode(&mut bytes.as_slice())
            .map_err(|e| ExecuteError::Once { name: name.into(), source: Box::new(e) })
    }

    /// Runs the job that was described since the last `execute`, to its end.
    ///
    /// # Errors
    /// The description can't be run, the job fails for good, or it is cancelled.
    pub fn execute(&self, name: &str) -> Result<JobExecutionResult, ExecuteError> {
        let code = self.generate(name)?;
        self.graph.borrow_mut().finish();
        self.executor.execute(code)
    }

    /// The JobGraph of what was described so far, without running it.
    ///
    /// # Errors
    /// The description can't be run.
    pub fn job_graph(&self, name: &str) -> Result<Arc<JobGraph>, ExecuteError> {
        Ok(self.generate(name)?.graph)
    }

    fn generate(&self, name: &str) -> Result<thalweg_operators::code::JobCode, ExecuteError> {
        let configuration = self.executor.configuration();
        let defaults = Defaults {
            parallelism: self
                .parallelism
                .get()
                .unwrap_or_else(|| configuration.get(&options::parallelism::DEFAULT)),
            max_parallelism: self
                .max_parallelism
                .get()
                .unwrap_or_else(|| configuration.get(&options::parallelism::MAX)),
            chaining: self
                .chaining
                .get()
                .unwrap_or_else(|| configuration.get(&options::execution::OPERATOR_CHAINING)),
        };
        let job = self.executor.next_job_id();
        Ok(generate::job(&self.graph.borrow(), job, name, &defaults)?)
    }

    pub(crate) fn add(&self, node: StreamNode, inputs: &[(u8, &[Upstream], RowType)]) -> usize {
        self.graph.borrow_mut().add(node, inputs)
    }

    /// Remembers what is wrong with the description: it is refused when it is executed.
    pub(crate) fn refuse(&self, error: GraphError) {
        self.graph.borrow_mut().refused.get_or_insert(error);
    }

    pub(crate) fn generation(&self) -> u64 {
        self.graph.borrow().generation
    }

    pub(crate) fn node(&self, node: usize, change: impl FnOnce(&mut StreamNode)) {
        if let Some(node) = self.graph.borrow_mut().nodes.get_mut(node) {
            change(node);
        }
    }

    pub(crate) fn next_collected<T>(&self) -> crate::executor::Collected<T> {
        let number = self.collected.get();
        self.collected.set(number + 1);
        crate::executor::Collected { name: format!("collected-{number}"), row: PhantomData }
    }
}
