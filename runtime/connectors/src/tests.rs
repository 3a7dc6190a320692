//! Collections, generators, printing and collecting.

use std::sync::Arc;

use parking_lot::Mutex;
use thalweg_core::Batch;
use thalweg_operators::sink::{PrepareCommit, Sink};
use thalweg_operators::source::{Boundedness, ReadBuffer, Source};

use crate::testing::{read_all, reader_context, sink_context};
use crate::{CollectSink, CollectionSource, DataGenerator, PrintSink, RowFormat};

/// All rows of a source, split by split; each split is also read again from every position.
fn rows_by_split<S: Source>(source: &S, parallelism: u32) -> Vec<Vec<S::Row>>
where
    S::Row: PartialEq + std::fmt::Debug,
{
    let context = reader_context(Arc::new(|| {}));
    let splits = source.enumerate(parallelism).unwrap();
    let of_split = |split| {
        let rows = read_all(&mut *source.open(split, None, &context).unwrap(), 7).rows;
        let mut reader = source.open(split, None, &context).unwrap();
        for read in 0..rows.len() {
            let position = reader.position();
            let mut resumed = source.open(split, Some(&position), &context).unwrap();
            assert_eq!(read_all(&mut *resumed, 3).rows, rows[read..]);
            reader.read(1, &mut ReadBuffer::default()).unwrap();
        }
        rows
    };
    splits.iter().map(of_split).collect()
}

#[test]
fn a_collection_keeps_its_order_and_can_be_split() {
    let values: Vec<u32> = (0..20).collect();
    let source = CollectionSource::new(values.clone());
    assert_eq!(rows_by_split(&source, 3), std::slice::from_ref(&values));
    for parallelism in [1, 3, 20, 50] {
        let splits = rows_by_split(&source.clone().in_parallel(), parallelism);
        assert_eq!(splits.len(), parallelism.min(20) as usize);
        assert_eq!(splits.concat(), values);
    }
    assert!(rows_by_split(&CollectionSource::<u32>::new(Vec::new()), 3).is_empty());
}

#[test]
fn a_collection_that_another_process_made_differently_is_refused() {
    let context = reader_context(Arc::new(|| {}));
    let splits = CollectionSource::new(vec![1, 2, 3]).enumerate(1).unwrap();
    let other = CollectionSource::new(vec![1, 2]);
    let Err(error) = other.open(&splits[0], None, &context) else { panic!("it was opened") };
    assert!(error.to_string().contains("env.once"), "{error}");
}

#[test]
fn a_generator_deals_its_numbers_out_among_its_splits() {
    for (count, parallelism) in [(0, 2), (1, 3), (20, 1), (20, 3), (21, 7)] {
        let source = DataGenerator::new(|n| n * 10).with_count(count);
        assert_eq!(source.boundedness(), Boundedness::Bounded);
        let splits = rows_by_split(&source, parallelism);
        assert!(splits.iter().all(|rows| rows.is_sorted()));
        let mut all = splits.concat();
        all.sort_unstable();
        assert_eq!(all, (0..count).map(|n| n * 10).collect::<Vec<_>>());
    }
    let source = DataGenerator::new(|n| n).with_splits(4);
    assert_eq!(source.boundedness(), Boundedness::Unbounded);
    let splits = source.enumerate(1).unwrap();
    let mut reader = source.open(&splits[3], None, &reader_context(Arc::new(|| {}))).unwrap();
    let mut found = ReadBuffer::default();
    reader.read(4, &mut found).unwrap();
    reader.read(1, &mut found).unwrap();
    assert_eq!(found.rows, [3, 7, 11, 15, 19]);
}

#[test]
fn rows_are_printed_a_line_each_with_the_subtask_in_front_when_asked() {
    let out = Arc::new(Mutex::new(Vec::new()));
    let plain = PrintSink::<i32>::to(out.clone(), RowFormat::lines());
    let json = PrintSink::<i32>::to(out.clone(), RowFormat::json_lines()).with_prefix();
    plain.writer(&sink_context(1, 0, None)).unwrap().write(Batch::from_values(vec![1, 2])).unwrap();
    json.writer(&sink_context(1, 0, None)).unwrap().write(Batch::from_values(vec![3, 4])).unwrap();
    assert_eq!(String::from_utf8(out.lock().clone()).unwrap(), "1\n2\n2> 3\n2> 4\n");
}

#[test]
fn collected_rows_count_when_they_are_committed_and_only_once() {
    let (sink, rows) = CollectSink::new();
    let mut writer = sink.writer(&sink_context(0, 0, None)).unwrap();
    let request = PrepareCommit { checkpoint: None, input_ended: false };
    writer.write(Batch::from_values(vec![1, 2])).unwrap();
    let first = writer.prepare_commit(request).unwrap();
    writer.write(Batch::from_values(vec![3])).unwrap();
    assert_eq!((rows.committed(), rows.written()), (vec![], vec![1, 2, 3]));
    writer.commit(&first).unwrap();
    let mut other = sink.writer(&sink_context(1, 1, None)).unwrap();
    other.commit(&first).unwrap();
    assert_eq!(rows.committed(), [1, 2]);
}
