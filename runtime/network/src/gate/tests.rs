//! The gate against what any interleaving of its channels must give.

use proptest::prelude::*;
use thalweg_core::element::{Control, LatencyMarker, MAX_WATERMARK, SnapshotKind};

use super::*;
use crate::channel::{CONTROL_BYTES, InputQueue};
use crate::testing::*;

/// A gate with its channels, fed directly.
struct Fed {
    gate: InputGate,
    queues: Vec<Arc<InputQueue>>,
    _environment: crate::NetworkEnvironment,
}

/// `inputs`: the logical input of each channel.
fn fed(inputs: &[u8], batch_rows: usize) -> Fed {
    let environment = environment(1 << 20);
    let specs: Vec<_> =
        inputs.iter().enumerate().map(|(c, input)| spec(c as u32, 0, *input)).collect();
    let gate = gate(&environment, &specs, batch_rows, Wakes::default().waker());
    let queues = gate.channels.iter().map(|channel| Arc::clone(&channel.queue)).collect();
    Fed { gate, queues, _environment: environment }
}

impl Fed {
    fn rows(&self, channel: u32, from: u64, count: u64) {
        let batch = rows(channel, from, count);
        let bytes = batch.size_bytes();
        self.queues[channel as usize].push(Item::Batch(batch), bytes);
    }

    fn control(&self, channel: u32, control: Control) {
        self.queues[channel as usize].push(Item::Control(control), CONTROL_BYTES);
    }

    fn drain(&mut self) -> Vec<GateEvent> {
        drain(&mut self.gate, ms(0))
    }
}

fn barrier(checkpoint: u64) -> Control {
    let kind = SnapshotKind::Checkpoint;
    let (checkpoint, published) = (CheckpointId(checkpoint), CheckpointId(0));
    Control::Barrier(Barrier { checkpoint, triggered_ms: 0, published, kind })
}

/// An event without what the tests of control elements don't look at.
fn brief(event: &GateEvent) -> String {
    match event {
        GateEvent::Batch { input, batch } => format!("rows{input}:{}", batch.len()),
        GateEvent::Watermark { input, watermark } => format!("wm{input}:{watermark}"),
        GateEvent::Idle { input } => format!("idle{input}"),
        GateEvent::Active { input } => format!("active{input}"),
        GateEvent::BarrierAligned { barrier, .. } => format!("aligned:{}", barrier.checkpoint),
        GateEvent::BarrierAborted { checkpoint } => format!("aborted:{checkpoint}"),
        GateEvent::LatencyMarker { input, .. } => format!("marker{input}"),
        GateEvent::EndOfInput { input } => format!("end{input}"),
        GateEvent::Finished => "finished".to_owned(),
        GateEvent::Empty => "empty".to_owned(),
    }
}

/// Feeds steps "channel element" one by one and compares what follows from each.
fn play(inputs: &[u8], steps: &[(u32, Control, &[&str])]) {
    let mut fed = fed(inputs, 100);
    for (step, (channel, control, expected)) in steps.iter().enumerate() {
        fed.control(*channel, control.clone());
        let events: Vec<String> = fed.drain().iter().map(brief).collect();
        assert_eq!(events, *expected, "step {step}: {control:?} of channel {channel}");
    }
}

#[test]
fn watermarks_are_the_minimum_over_active_channels_of_the_input_and_never_fall() {
    use Control::{Active, EndOfInput, Idle, Watermark as W};
    play(
        &[0, 0, 1],
        &[
            (0, W(5), &[]),
            (2, W(3), &["wm1:3"]),
            (1, W(7), &["wm0:5"]),
            (0, W(4), &[]),
            (0, Idle, &["wm0:7"]),
            (1, Idle, &["idle0"]),
            // Said while idle: counts from when it is active.
            (1, W(9), &[]),
            (0, Active, &["active0"]),
            // Channel 0 is behind what was handed out and holds back what comes next.
            (1, Active, &[]),
            (1, W(20), &[]),
            (0, W(8), &["wm0:8"]),
            (0, EndOfInput, &["wm0:20"]),
            (1, Idle, &["idle0"]),
            (2, EndOfInput, &["end1"]),
            (1, EndOfInput, &["end0", "finished"]),
        ],
    );
}

#[test]
fn event_time_ends_when_every_channel_has_said_so_idle_ones_included() {
    use Control::{Active, EndOfInput, Idle, Watermark as W};
    let end = "wm0:9223372036854775807";
    play(
        &[0, 0],
        &[
            (0, Idle, &[]),
            (1, Idle, &["idle0"]),
            (0, W(MAX_WATERMARK), &[]),
            (1, W(MAX_WATERMARK), &["active0", end]),
            (0, EndOfInput, &[]),
            (1, EndOfInput, &["end0", "finished"]),
        ],
    );
    // A channel that is only idle will say more: what it says mustn't be late.
    play(
        &[0, 0],
        &[
            (0, W(5), &[]),
            (1, Idle, &["wm0:5"]),
            (0, W(MAX_WATERMARK), &[]),
            (0, EndOfInput, &["idle0"]),
            (1, Active, &["active0"]),
            (1, W(7), &["wm0:7"]),
            (1, W(MAX_WATERMARK), &[end]),
            (1, EndOfInput, &["end0", "finished"]),
        ],
    );
    // Input that ends without the end of time, as when a job is stopped, doesn't bring it about.
    play(
        &[0, 0],
        &[
            (0, W(MAX_WATERMARK), &[]),
            (1, W(5), &["wm0:5"]),
            (1, EndOfInput, &[]),
            (0, EndOfInput, &["end0", "finished"]),
        ],
    );
}

#[test]
fn barriers_align_over_all_channels_of_all_inputs() {
    use Control::{EndOfInput, Watermark as W};
    play(
        &[0, 0, 1],
        &[
            (0, barrier(1), &[]),
            (0, W(5), &[]),
            (2, barrier(1), &[]),
            (1, W(4), &[]),
            (1, barrier(1), &["aligned:1", "wm0:4"]),
            // A channel that ends counts as one that delivered; the barrier comes before the end.
            (0, barrier(2), &[]),
            (1, barrier(2), &[]),
            (2, EndOfInput, &["aligned:2", "end1"]),
            // A newer barrier gives up the older one, whose late barriers mean nothing.
            (0, barrier(3), &[]),
            (0, W(6), &[]),
            (1, barrier(4), &["aborted:3"]),
            (0, barrier(4), &["aligned:4"]),
            (1, barrier(3), &[]),
            (1, W(6), &["wm0:6"]),
            // A barrier that was overtaken on a channel is ignored there.
            (0, barrier(6), &[]),
            (1, barrier(5), &[]),
            (1, W(7), &[]),
            (1, barrier(6), &["aligned:6"]),
            (0, EndOfInput, &["wm0:7"]),
            (1, barrier(7), &["aligned:7"]),
            (1, EndOfInput, &["end0", "finished"]),
        ],
    );
}

#[test]
fn a_checkpoint_given_up_by_the_coordinator_blocks_nothing_any_more() {
    let mut fed = fed(&[0, 0], 100);
    fed.control(0, barrier(1));
    fed.rows(0, 0, 3);
    assert!(fed.drain().is_empty());
    assert_eq!(fed.gate.aligning_since(), Some(ms(0)));
    fed.gate.abort_checkpoint(CheckpointId(1));
    assert_eq!(fed.gate.aligning_since(), None);
    assert_eq!(fed.drain().iter().map(brief).collect::<Vec<_>>(), ["rows0:3"]);
    fed.control(1, barrier(1));
    fed.rows(1, 0, 2);
    assert_eq!(fed.drain().iter().map(brief).collect::<Vec<_>>(), ["rows0:2"]);
}

#[test]
fn an_alignment_reports_its_start_its_duration_and_the_bytes_that_passed() {
    let mut fed = fed(&[0, 0], 100);
    fed.control(0, barrier(1));
    assert!(drain(&mut fed.gate, ms(10)).is_empty());
    fed.rows(0, 0, 3);
    fed.rows(1, 0, 5);
    drain(&mut fed.gate, ms(20));
    fed.control(1, barrier(1));
    let events = drain(&mut fed.gate, ms(35));
    let GateEvent::BarrierAligned { alignment, .. } = &events[0] else { panic!("{events:?}") };
    let expected = AlignmentStats { started: ms(10), duration: ms(25), bytes: 5 * 24 };
    assert_eq!(*alignment, expected);
    assert_eq!(rows_of(&events).len(), 3);
}

#[test]
fn small_batches_are_put_together_across_channels_but_not_past_a_control_element() {
    let mut fed = fed(&[0, 0, 1, 0], 100);
    let marker = LatencyMarker { sent_ms: 1, source_subtask: 0 };
    for channel in 0..4 {
        fed.rows(channel, 0, 10);
        fed.rows(channel, 10, 10);
    }
    fed.control(0, Control::LatencyMarker(marker));
    fed.rows(0, 20, 10);
    fed.rows(3, 20, 60);
    let events = fed.drain();
    let brief: Vec<String> = events.iter().map(brief).collect();
    // The 60 rows don't fit into the first batch; the rows behind the marker come after it.
    assert_eq!(brief, ["rows0:60", "rows1:20", "rows0:60", "marker0", "rows0:10"]);
    assert_eq!(fed.gate.counters().batches, 4);
    assert_eq!(fed.gate.counters().batches_received, 10);
    assert_eq!(fed.gate.counters().records, 150);
}

#[test]
fn a_gate_wakes_its_task_once_for_what_has_come_and_says_when_it_is_empty() {
    let environment = environment(1 << 20);
    let wakes = Wakes::default();
    let mut gate = gate(&environment, &[spec(0, 0, 0)], 100, wakes.waker());
    assert!(!gate.channels[0].queue.reader_waiting());
    assert!(matches!(gate.poll(ms(0)), Ok(GateEvent::Empty)));
    assert!(gate.channels[0].queue.reader_waiting());
    gate.channels[0].queue.push(Item::Batch(rows(0, 0, 1)), 1);
    gate.channels[0].queue.push(Item::Batch(rows(0, 1, 1)), 1);
    assert_eq!(wakes.take(), 1);
    assert!(!gate.channels[0].queue.reader_waiting());
    assert_eq!(drain(&mut gate, ms(0)).len(), 1);
}

#[test]
fn a_producer_that_does_not_come_fails_the_gate_and_one_that_has_ended_does_not() {
    let mut fed = fed(&[0], 100);
    let registry = Arc::clone(fed._environment.registry());
    registry.expire(ms(0));
    registry.expire(Duration::from_secs(300));
    let waited = Duration::from_secs(300);
    let error = NetworkError::ProducerMissing { channel: id(0, 0), waited };
    assert_eq!(fed.gate.poll(ms(0)).err(), Some(error));
    drop(fed);
    assert!(registry.is_empty());
}

/// What a channel sends, in order.
#[derive(Debug, Clone)]
enum Sent {
    Rows(u64),
    Watermark(i64),
    Barrier(u64),
}

fn channel() -> impl Strategy<Value = Vec<Sent>> {
    let element = prop_oneof![
        4 => (1u64..12).prop_map(Sent::Rows),
        2 => (1i64..30).prop_map(Sent::Watermark),
        1 => (1u64..6).prop_map(Sent::Barrier),
    ];
    prop::collection::vec(element, 0..25).prop_map(|mut sent| {
        // Watermarks rise by what was drawn; a channel's barriers rise too, some are left out.
        let (mut watermark, mut checkpoint) = (0, 0);
        sent.retain_mut(|element| match element {
            Sent::Rows(_) => true,
            Sent::Watermark(by) => {
                watermark += *by;
                *by = watermark;
                true
            }
            Sent::Barrier(id) => {
                checkpoint += *id;
                *id = checkpoint;
                true
            }
        });
        sent
    })
}

/// What a channel had sent before a point of it.
#[derive(Clone, Copy, Default)]
struct Before {
    rows: u64,
    watermark: i64,
}

/// A channel's content before its first barrier of at least `checkpoint`, or before its end; and
/// whether that barrier is exactly this checkpoint's.
fn before_barrier(sent: &[Sent], checkpoint: u64) -> (Before, bool) {
    let mut before = Before::default();
    for element in sent {
        match element {
            Sent::Rows(rows) => before.rows += rows,
            Sent::Watermark(watermark) => before.watermark = *watermark,
            Sent::Barrier(id) if *id >= checkpoint => return (before, *id == checkpoint),
            Sent::Barrier(_) => {}
        }
    }
    (before, true)
}

/// The watermark that a channel had sent before its row `row`.
fn watermark_before_row(sent: &[Sent], row: u64) -> i64 {
    let (mut rows, mut last) = (0, i64::MIN);
    for element in sent {
        match element {
            Sent::Rows(count) => rows += count,
            Sent::Watermark(watermark) => last = *watermark,
            Sent::Barrier(_) => {}
        }
        if rows > row {
            return last;
        }
    }
    last
}

/// Feeds a gate with what its channels send, some at a time.
struct Feed<'a> {
    fed: Fed,
    sent: &'a [&'a [Sent]],
    /// Elements and rows of each channel that were fed.
    at: Vec<(usize, u64)>,
}

impl Feed<'_> {
    fn send(&mut self, channel: usize, count: usize) {
        let (next, rows) = &mut self.at[channel];
        let sent = self.sent[channel];
        for _ in 0..count {
            match sent.get(*next) {
                Some(Sent::Rows(count)) => {
                    self.fed.rows(channel as u32, *rows, *count);
                    *rows += count;
                }
                Some(Sent::Watermark(w)) => {
                    self.fed.control(channel as u32, Control::Watermark(*w));
                }
                Some(Sent::Barrier(id)) => self.fed.control(channel as u32, barrier(*id)),
                None if *next == sent.len() => {
                    self.fed.control(channel as u32, Control::EndOfInput);
                }
                None => return,
            }
            *next += 1;
        }
    }
}

/// What was seen so far of a gate's events, and what they must be like.
struct Checker<'a> {
    sent: &'a [&'a [Sent]],
    inputs: &'a [u8],
    seen: Vec<u64>,
    watermarks: [i64; 2],
    ended: [bool; 2],
    last_checkpoint: u64,
    aligned: Vec<u64>,
}

impl Checker<'_> {
    fn event(&mut self, event: &GateEvent) {
        match event {
            GateEvent::Batch { input, batch } => {
                assert!(!self.ended[usize::from(*input)]);
                for (channel, number) in batch.values::<Row>().unwrap() {
                    self.row(*input, *channel as usize, *number);
                }
            }
            GateEvent::Watermark { input, watermark } => {
                assert!(*watermark > self.watermarks[usize::from(*input)]);
                self.watermarks[usize::from(*input)] = *watermark;
            }
            GateEvent::BarrierAligned { barrier, .. } => self.aligned(barrier.checkpoint.0),
            GateEvent::BarrierAborted { checkpoint } => {
                assert!(checkpoint.0 > self.last_checkpoint);
                self.last_checkpoint = checkpoint.0;
                let complete = self.sent.iter().all(|sent| before_barrier(sent, checkpoint.0).1);
                assert!(!complete, "checkpoint {checkpoint} was complete");
            }
            GateEvent::EndOfInput { input } => {
                assert!(!std::mem::replace(&mut self.ended[usize::from(*input)], true));
            }
            GateEvent::Finished => {}
            other => panic!("{other:?}"),
        }
    }

    fn row(&mut self, input: u8, channel: usize, number: u64) {
        assert_eq!(self.inputs[channel], input);
        assert_eq!(self.seen[channel], number, "order of channel {channel}");
        self.seen[channel] += 1;
        // The input's watermark never runs ahead of what the row's channel had promised.
        let own = watermark_before_row(self.sent[channel], number);
        assert!(self.watermarks[usize::from(input)] <= own);
    }

    fn aligned(&mut self, checkpoint: u64) {
        assert!(checkpoint > self.last_checkpoint);
        self.last_checkpoint = checkpoint;
        self.aligned.push(checkpoint);
        for (channel, sent) in self.sent.iter().enumerate() {
            let (before, delivered) = before_barrier(sent, checkpoint);
            assert!(delivered, "channel {channel} has no barrier {checkpoint}");
            assert_eq!(self.seen[channel], before.rows, "channel {channel}");
            let watermark = self.watermarks[usize::from(self.inputs[channel])];
            assert!(watermark <= before.watermark.max(0) || before_end(sent, checkpoint));
        }
    }

    /// What must hold when everything was handed out.
    fn finish(self) {
        let end = |sent: &&[Sent]| before_barrier(sent, u64::MAX).0;
        let all: Vec<u64> = self.sent.iter().map(|sent| end(sent).rows).collect();
        assert_eq!(self.seen, all);
        // No checkpoint is missed whose barrier comes on all channels that could bring it.
        let barriers = self.sent.iter().flat_map(|sent| sent.iter()).filter_map(|e| match e {
            Sent::Barrier(id) => Some(*id),
            _ => None,
        });
        let everywhere = |id: &u64| self.sent.iter().all(|sent| before_barrier(sent, *id).1);
        let mut complete: Vec<u64> = barriers.filter(everywhere).collect();
        complete.sort_unstable();
        complete.dedup();
        assert_eq!(self.aligned, complete);
        // The last watermark is one of the channels' last, and not below the lowest of them.
        for (input, watermark) in self.watermarks.into_iter().enumerate() {
            let of_input = |(_, i): &(_, &u8)| usize::from(**i) == input;
            let channels = self.sent.iter().zip(self.inputs).filter(of_input);
            let last: Vec<i64> = channels.map(|(sent, _)| end(sent).watermark).collect();
            assert!(watermark == i64::MIN || last.contains(&watermark));
            if let Some(least) = last.iter().min().filter(|least| **least > 0) {
                assert!(watermark >= *least);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_interleaving_keeps_order_watermarks_and_barriers(
        channels in prop::collection::vec((channel(), 0u8..2), 1..6),
        schedule in prop::collection::vec(
            (any::<prop::sample::Index>(), 1usize..6, any::<bool>()), 0..80
        ),
        batch_rows in 1usize..40,
    ) {
        let inputs: Vec<u8> = channels.iter().map(|(_, input)| *input).collect();
        let sent: Vec<&[Sent]> = channels.iter().map(|(sent, _)| sent.as_slice()).collect();
        let at = vec![(0, 0); sent.len()];
        let mut feed = Feed { fed: fed(&inputs, batch_rows), sent: &sent, at };
        let mut events = Vec::new();
        for (channel, count, poll) in schedule {
            feed.send(channel.index(sent.len()), count);
            if poll {
                events.extend(feed.fed.drain());
            }
        }
        for channel in 0..sent.len() {
            feed.send(channel, 100);
        }
        events.extend(feed.fed.drain());
        let mut checker = Checker {
            sent: &sent,
            inputs: &inputs,
            seen: vec![0; sent.len()],
            watermarks: [i64::MIN; 2],
            ended: [false; 2],
            last_checkpoint: 0,
            aligned: Vec::new(),
        };
        for event in &events {
            checker.event(event);
        }
        checker.finish();
        prop_assert!(matches!(events.last(), Some(GateEvent::Finished)));
    }
}

/// Whether the channel ends without a barrier of this checkpoint, so that it holds nothing back.
fn before_end(sent: &[Sent], checkpoint: u64) -> bool {
    !sent.iter().any(|element| matches!(element, Sent::Barrier(id) if *id >= checkpoint))
}
