//! Everything that most applications need: `use thalweg::prelude::*;`.

pub use std::time::Duration;

pub use crate::parameter_tool::ParameterTool;
pub use thalweg_connectors::*;
pub use thalweg_core::record::{Key, Record};
pub use thalweg_datastream::{
    BroadcastStream, ConnectedStreams, DataStream, DataStreamSink, ExecuteError,
    JobExecutionResult, KeyedStream, StreamExecutionEnvironment, WindowedStream,
};
pub use thalweg_operators::functions::{
    BroadcastContext, BroadcastProcessFunction, BroadcastView, CoProcessFunction,
    KeyedCoProcessFunction, KeyedContext, KeyedOpen, KeyedProcessFunction, ProcessContext,
    ProcessFunction, ProcessOpen, TimeDomain,
};
pub use thalweg_operators::sink::{DeliveryGuarantee, Sink};
pub use thalweg_operators::source::{BadRecord, BadRecords, Boundedness, Source, SourceOptions};
pub use thalweg_operators::time::WatermarkStrategy;
pub use thalweg_operators::windows::*;
pub use thalweg_operators::{Collector, FunctionError, FunctionResult, OutputTag};
pub use thalweg_state::{
    AggregateFunction, AggregatingState, ListState, MapState, ReducingState, StateTtlConfig,
    StateVisibility, TimeToLive, UpdateType, ValueState,
};

/// A stream without event time. Short for [`WatermarkStrategy::no_watermarks`].
pub fn no_watermarks<T: Record>() -> WatermarkStrategy<T> {
    WatermarkStrategy::no_watermarks()
}
