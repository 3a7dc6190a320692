//! The loop: who works next, and who gets what comes out.

use thalweg_core::element::{Control, StreamElement};

use super::node::{Done, Target, Work};
use super::{Chain, ChainError, ChainStatus, Downstream};

impl Chain {
    /// Does one piece of work, if there is any and there is room for what comes of it.
    pub fn run(
        &mut self,
        now_ms: i64,
        downstream: &mut dyn Downstream,
    ) -> Result<ChainStatus, ChainError> {
        let Some(at) = self.nodes.iter().rposition(|n| !n.inbox.is_empty()) else {
            return Ok(ChainStatus::Idle);
        };
        if !downstream.is_available() {
            return Ok(ChainStatus::Blocked);
        }
        self.current = at;
        let done = self.nodes[at].work(now_ms)?;
        self.carry_away(at, downstream)?;
        match done {
            Done::Partly | Done::Consumed => {}
            Done::Forward(control) => self.forward(at, control, downstream)?,
            Done::Snapshot(barrier, written) => {
                self.forward(at, Control::Barrier(barrier.clone()), downstream)?;
                self.barrier_passed(at, barrier, written);
            }
        }
        Ok(ChainStatus::Busy)
    }

    /// Makes processing-time timers fire that are due. Nothing may be on its way.
    pub fn fire_processing_time(&mut self, now_ms: i64) {
        for node in &mut self.nodes {
            if node.next_processing_time().is_some_and(|due| due <= now_ms) {
                node.inbox.push_front(Work::ProcessingTime);
            }
        }
    }

    /// Moves what the operator emitted to where it goes.
    pub(super) fn carry_away(
        &mut self,
        at: usize,
        downstream: &mut dyn Downstream,
    ) -> Result<(), ChainError> {
        while let Some((tag, batch)) = self.nodes[at].output.next_side() {
            self.nodes[at].metrics.add_records_out(batch.len() as u64);
            self.route(at, Some(&tag), StreamElement::Batch(batch), downstream)?;
        }
        while let Some(element) = self.nodes[at].output.next_main() {
            match element {
                StreamElement::Batch(ref batch) => {
                    self.nodes[at].metrics.add_records_out(batch.len() as u64);
                    self.route(at, None, element, downstream)?;
                }
                StreamElement::Control(control) => {
                    if let Control::Watermark(watermark) = control
                        && self.nodes[at].is_source()
                    {
                        self.nodes[at].metrics.set_watermark(watermark);
                    }
                    self.forward(at, control, downstream)?;
                }
            }
        }
        Ok(())
    }

    fn route(
        &mut self,
        at: usize,
        tag: Option<&str>,
        element: StreamElement,
        downstream: &mut dyn Downstream,
    ) -> Result<(), ChainError> {
        let matching = |tag_of: &Option<std::sync::Arc<str>>| tag_of.as_deref() == tag;
        let Some(last) = self.nodes[at].routes.iter().rposition(|r| matching(&r.tag)) else {
            return Ok(());
        };
        for index in 0..last {
            if matching(&self.nodes[at].routes[index].tag) {
                self.deliver(at, index, element.clone(), downstream)?;
            }
        }
        // The last receiver gets the original: a batch with one receiver is never copied.
        self.deliver(at, last, element, downstream)
    }

    fn deliver(
        &mut self,
        at: usize,
        route: usize,
        element: StreamElement,
        downstream: &mut dyn Downstream,
    ) -> Result<(), ChainError> {
        match (self.nodes[at].routes[route].target.clone(), element) {
            (Target::Operator(to), element) => self.nodes[to].push(0, element),
            (Target::Edge(edge), StreamElement::Batch(batch)) => downstream.batch(edge, batch)?,
            (Target::Edge(edge), StreamElement::Control(c)) => downstream.control(edge, c)?,
        }
        Ok(())
    }

    /// Sends a control element to all outputs, side outputs included. After the end of input
    /// nothing leaves the chain any more.
    fn forward(
        &mut self,
        at: usize,
        control: Control,
        downstream: &mut dyn Downstream,
    ) -> Result<(), ChainError> {
        for index in 0..self.nodes[at].routes.len() {
            let out = matches!(self.nodes[at].routes[index].target, Target::Edge(_));
            if !(out && self.ended) {
                self.deliver(at, index, StreamElement::Control(control.clone()), downstream)?;
            }
        }
        if control == Control::EndOfInput {
            self.open_ends -= 1;
            self.ended = self.open_ends == 0;
        }
        Ok(())
    }
}
