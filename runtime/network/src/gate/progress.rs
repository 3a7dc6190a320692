//! Event time of one logical input: the minimum over its channels, as a pure state machine.
//!
//! 1. The watermark is the lowest of the channels that are neither idle nor ended, and never
//!    falls: a channel that becomes active again with a lower one doesn't count until it has
//!    caught up with what was handed out, but holds back what comes next.
//! 2. Event time ends when all channels have said so, idle ones included: a channel that is only
//!    idle will say more, and that mustn't be late. Ending without it doesn't bring it about.
//! 3. The input is idle when all channels that haven't ended are, and at least one hasn't.
//! 4. It ends when all its channels have.

use std::collections::VecDeque;

use thalweg_core::element::{MAX_WATERMARK, MIN_WATERMARK, Watermark};

use super::GateEvent;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Active,
    Idle,
    Ended,
}

#[derive(Clone, Copy, Debug)]
struct Channel {
    watermark: Watermark,
    state: State,
}

/// The progress of one logical input.
#[derive(Debug)]
pub(super) struct InputProgress {
    channels: Vec<Channel>,
    active: usize,
    unfinished: usize,
    /// The lowest watermark of the active channels, and how many of them have it: only when none
    /// is left are all of them looked at.
    lowest: Watermark,
    at_lowest: usize,
    /// Channels on which event time has ended.
    at_end: usize,
    emitted: Watermark,
    idle_emitted: bool,
    end_emitted: bool,
}

impl InputProgress {
    pub(super) fn new(channels: usize) -> Self {
        let channel = Channel { watermark: MIN_WATERMARK, state: State::Active };
        Self {
            channels: vec![channel; channels],
            active: channels,
            unfinished: channels,
            lowest: MIN_WATERMARK,
            at_lowest: channels,
            at_end: 0,
            emitted: MIN_WATERMARK,
            idle_emitted: false,
            end_emitted: false,
        }
    }

    pub(super) fn emitted(&self) -> Option<Watermark> {
        (self.emitted > MIN_WATERMARK).then_some(self.emitted)
    }

    pub(super) fn watermark(&mut self, place: usize, watermark: Watermark) {
        let channel = &mut self.channels[place];
        if watermark <= channel.watermark {
            return;
        }
        let was_lowest = channel.state == State::Active && channel.watermark == self.lowest;
        channel.watermark = watermark;
        self.at_end += usize::from(watermark == MAX_WATERMARK);
        if was_lowest {
            self.leave_lowest();
        }
    }

    pub(super) fn idle(&mut self, place: usize) {
        if self.channels[place].state == State::Active {
            self.deactivate(place, State::Idle);
        }
    }

    pub(super) fn active(&mut self, place: usize) {
        if self.channels[place].state == State::Idle {
            self.channels[place].state = State::Active;
            self.active += 1;
            self.find_lowest();
        }
    }

    pub(super) fn end(&mut self, place: usize) {
        match self.channels[place].state {
            State::Ended => return,
            State::Active => self.deactivate(place, State::Ended),
            State::Idle => self.channels[place].state = State::Ended,
        }
        self.unfinished -= 1;
    }

    /// Appends what has changed since the last call.
    pub(super) fn events(&mut self, input: u8, events: &mut VecDeque<GateEvent>) {
        let time_ends = self.at_end == self.channels.len();
        let idle = self.active == 0 && self.unfinished > 0 && !time_ends;
        let reached = match (time_ends, self.active) {
            (true, _) => MAX_WATERMARK,
            (false, 0) => self.emitted,
            (false, _) if self.lowest == MAX_WATERMARK => self.emitted,
            (false, _) => self.lowest,
        };
        if self.idle_emitted && (self.active > 0 || reached > self.emitted) {
            self.idle_emitted = false;
            events.push_back(GateEvent::Active { input });
        }
        if reached > self.emitted {
            self.emitted = reached;
            events.push_back(GateEvent::Watermark { input, watermark: reached });
        }
        if idle && !self.idle_emitted {
            self.idle_emitted = true;
            events.push_back(GateEvent::Idle { input });
        }
        if self.unfinished == 0 && !self.end_emitted {
            self.end_emitted = true;
            events.push_back(GateEvent::EndOfInput { input });
        }
    }

    fn deactivate(&mut self, place: usize, state: State) {
        let channel = &mut self.channels[place];
        channel.state = state;
        self.active -= 1;
        if channel.watermark == self.lowest {
            self.leave_lowest();
        }
    }

    fn leave_lowest(&mut self) {
        self.at_lowest -= 1;
        if self.at_lowest == 0 {
            self.find_lowest();
        }
    }

    fn find_lowest(&mut self) {
        let active = || self.channels.iter().filter(|channel| channel.state == State::Active);
        let lowest = active().map(|channel| channel.watermark).min().unwrap_or(self.lowest);
        self.at_lowest = active().filter(|channel| channel.watermark == lowest).count();
        self.lowest = lowest;
    }
}
