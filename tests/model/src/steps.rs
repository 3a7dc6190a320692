//! Who may do what when, and what it does to the world.

use stateright::{Model, Property};
use thalweg_core::ids::CheckpointId;
use thalweg_storage::log::append::{AfterPut, AfterReadBack, PutFact};
use thalweg_storage::log::leadership::{ClaimDecision, decide_claim};
use thalweg_storage::log::names::Segment;
use thalweg_storage::log::search::{SearchStep, TailSearch};
use thalweg_storage::log::{
    EntryHeader, EntryKind, Leadership, LogPosition, Published, Refusal, TerminalStatus,
};

use crate::process::{AppendPhase, Collection, Lead, Role};
use crate::properties;
use crate::scope::Scope;
use crate::world::{Checkpoint, CheckpointName, Object, Order, Part, World};

/// What a store does with a conditional write, and says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PutResult {
    /// Does it and says so; or refuses and says so.
    Known,
    /// Does it, and fails: also what a refusal after a repeated request is.
    UnknownDone,
    /// Doesn't do it, and fails: also a conflict.
    UnknownNotDone,
    /// Fails, and does it later.
    UnknownLate,
}

/// A step of the process, write or sink with this index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// A process lists the log, and begins to search with the highest place that was listed.
    Start(usize, Option<LogPosition>),
    /// Reads upward to an empty place, or a seal.
    Search(usize),
    /// Writes its entry.
    Put(usize, PutResult),
    /// Reads the place of its entry, or the one after it.
    ReadBack(usize),
    /// Reads the seal of its claim's segment.
    Verify(usize),
    /// Stores the objects of a new checkpoint.
    Begin(usize),
    /// Gives a checkpoint up that isn't being published.
    Abandon(usize),
    /// Decides to publish.
    Publish(usize),
    /// Decides to end the job.
    End(usize),
    /// Looks whether it leads, and orders a commit.
    Commit(usize),
    /// Looks whether it leads, and begins to collect objects.
    CollectObjects(usize),
    /// Looks whether it leads, and begins to collect entries.
    CollectEntries(usize),
    /// Goes on collecting: classifies everything, seals, or deletes one.
    Continue(usize),
    /// A process ends, or starts after it had stopped.
    Crash(usize),
    /// A write of earlier reaches the store.
    Land(usize),
    /// An order reaches a sink.
    Deliver(usize, usize),
}

impl Model for Scope {
    type State = World;
    type Action = Action;

    fn init_states(&self) -> Vec<World> {
        vec![World::new(self)]
    }

    fn actions(&self, world: &World, actions: &mut Vec<Action>) {
        for index in 0..world.processes.len() {
            self.actions_of(world, index, actions);
        }
        actions.extend((0..world.store.under_way.len()).map(Action::Land));
        for sink in 0..world.sinks.len() {
            actions.extend((0..world.orders.len()).map(|order| Action::Deliver(order, sink)));
        }
    }

    fn next_state(&self, world: &World, action: Action) -> Option<World> {
        let mut next = world.clone();
        self.act(&mut next, action)?;
        // Most often an order that changes nothing.
        (next != *world).then_some(next)
    }

    fn properties(&self) -> Vec<Property<Scope>> {
        properties::all(self)
    }
}

impl Scope {
    fn actions_of(&self, world: &World, index: usize, actions: &mut Vec<Action>) {
        let Some(process) = world.processes.get(index) else { return };
        if world.crashes > 0 && process.role != Role::Idle {
            actions.push(Action::Crash(index));
        }
        match &process.role {
            Role::Stopped => {}
            Role::Idle => {
                actions.push(Action::Start(index, None));
                if self.collects_entries {
                    let written = world.real_entries().map(|entry| entry.position);
                    actions.extend(written.map(|hint| Action::Start(index, Some(hint))));
                }
            }
            Role::Searching(..) => actions.push(Action::Search(index)),
            Role::Claiming(entry, phase) => self.writing(world, index, entry, *phase, actions),
            Role::Verifying(_) => actions.push(Action::Verify(index)),
            Role::Leading(lead) => {
                if let (Some(entry), Some(phase)) = (lead.view.in_doubt(), lead.append) {
                    self.writing(world, index, entry, phase, actions);
                } else {
                    self.leading(lead, index, actions);
                }
                if lead.collection.is_some() {
                    actions.push(Action::Continue(index));
                }
                if lead.collection.is_none() && self.collects_objects {
                    actions.push(Action::CollectObjects(index));
                }
                if lead.collection.is_none() && self.collects_entries {
                    actions.push(Action::CollectEntries(index));
                }
                if !world.sinks.is_empty() && lead.view.latest_publish().is_some() {
                    actions.push(Action::Commit(index));
                }
            }
        }
    }

    /// What a leader may do that has no entry in doubt.
    fn leading(&self, lead: &Lead, index: usize, actions: &mut Vec<Action>) {
        if lead.view.last().is_terminal() {
            return;
        }
        match lead.pending {
            None if lead.begun < self.checkpoints => actions.push(Action::Begin(index)),
            None => {}
            Some(_) => {
                actions.push(Action::Publish(index));
                if self.collects_objects {
                    actions.push(Action::Abandon(index));
                }
            }
        }
        if self.ends {
            actions.push(Action::End(index));
        }
    }

    fn writing(
        &self,
        world: &World,
        index: usize,
        entry: &EntryHeader,
        phase: AppendPhase,
        actions: &mut Vec<Action>,
    ) {
        if phase != AppendPhase::Put {
            actions.push(Action::ReadBack(index));
        } else if entry.position.0 < self.places {
            actions.push(Action::Put(index, PutResult::Known));
            if world.unknowns > 0 {
                actions.push(Action::Put(index, PutResult::UnknownDone));
                actions.push(Action::Put(index, PutResult::UnknownNotDone));
                if world.late > 0 {
                    actions.push(Action::Put(index, PutResult::UnknownLate));
                }
            }
        }
    }

    fn act(&self, world: &mut World, action: Action) -> Option<()> {
        match action {
            Action::Start(index, hint) => {
                let search = TailSearch::new(hint, self.segment_length);
                world.processes.get_mut(index)?.role = Role::Searching(search, None);
            }
            Action::Search(index) => self.search(world, index)?,
            Action::Put(index, result) => self.put(world, index, result)?,
            Action::ReadBack(index) => self.read_back(world, index)?,
            Action::Verify(index) => self.verify(world, index)?,
            Action::Begin(index) => self.begin(world, index)?,
            Action::Abandon(index) => lead(world, index)?.pending = None,
            Action::Publish(index) => {
                let nonce = nonce(world, index)?;
                let lead = lead(world, index)?;
                let entry = lead.view.publish(lead.pending?, nonce).ok()?;
                write(lead, entry);
            }
            Action::End(index) => self.end(world, index)?,
            Action::Commit(index) => self.commit(world, index)?,
            Action::CollectObjects(index) => {
                let view = self.collector_view(world, index)?;
                if let Some(view) = view {
                    lead(world, index)?.collection = Some(Collection::Objects(view));
                }
            }
            Action::CollectEntries(index) => {
                let view = self.collector_view(world, index)?;
                if let Some(view) = view {
                    lead(world, index)?.collection = Some(Collection::Entries(view));
                }
            }
            Action::Continue(index) => self.go_on(world, index)?,
            Action::Crash(index) => {
                world.crashes = world.crashes.checked_sub(1)?;
                let process = world.processes.get_mut(index)?;
                process.life += 1;
                process.nonce = 0;
                process.role = Role::Idle;
            }
            Action::Land(write) => {
                let entry = world.store.under_way.remove(write);
                world.put_if_absent(entry);
            }
            Action::Deliver(order, sink) => self.deliver(world, order, sink)?,
        }
        Some(())
    }

    fn search(&self, world: &mut World, index: usize) -> Option<()> {
        let Role::Searching(mut search, mut last) = world.processes.get(index)?.role else {
            return None;
        };
        match search.step() {
            // What was read once never changes, so it hides nothing that all reads up to the
            // empty place are one step.
            SearchStep::ReadEntry(_) => {
                while let SearchStep::ReadEntry(position) = search.step() {
                    let read = world.entry(position).copied();
                    search = search.entry(read.is_some());
                    last = read.or(last);
                }
            }
            SearchStep::ReadSeal(segment) => {
                let sealed = world.is_sealed(segment);
                search = (self.rules.search_seal)(search, sealed);
            }
            SearchStep::Found(_) | SearchStep::Damaged(_) => return None,
        }
        let role = match search.step() {
            SearchStep::Damaged(_) => {
                world.wrongs.damaged = true;
                Role::Stopped
            }
            SearchStep::Found(found) => {
                let last = last.filter(|last| Some(last.position) == found);
                if found.is_some() && last.is_none() {
                    world.wrongs.damaged = true;
                }
                self.candidate(world, index, last.as_ref())?
            }
            _ => Role::Searching(search, last),
        };
        world.processes.get_mut(index)?.role = role;
        Some(())
    }

    fn candidate(
        &self,
        world: &mut World,
        index: usize,
        tail: Option<&EntryHeader>,
    ) -> Option<Role> {
        let nonce = nonce(world, index)?;
        let writer = world.processes.get(index)?.writer(index);
        Some(match decide_claim(tail, writer, nonce) {
            ClaimDecision::Claim(claim) if claim.epoch.0 <= self.epochs => {
                Role::Claiming(claim, AppendPhase::Put)
            }
            ClaimDecision::Claim(_) | ClaimDecision::Finished(_) => Role::Stopped,
        })
    }

    fn put(&self, world: &mut World, index: usize, result: PutResult) -> Option<()> {
        let entry = entry_of(&world.processes.get(index)?.role)?;
        if result != PutResult::Known {
            world.unknowns = world.unknowns.checked_sub(1)?;
        }
        let fact = match result {
            PutResult::Known if world.put_if_absent(entry) => PutFact::Created,
            PutResult::Known => PutFact::AlreadyExists,
            PutResult::UnknownDone => {
                world.put_if_absent(entry);
                PutFact::Unknown
            }
            PutResult::UnknownNotDone => PutFact::Unknown,
            PutResult::UnknownLate => {
                world.late = world.late.checked_sub(1)?;
                world.store.under_way.push(entry);
                PutFact::Unknown
            }
        };
        match (self.rules.after_put)(fact) {
            AfterPut::Appended => self.appended(world, index, entry),
            AfterPut::ReadBack => set_phase(world, index, AppendPhase::ReadHere),
        }
    }

    fn read_back(&self, world: &mut World, index: usize) -> Option<()> {
        let role = &world.processes.get(index)?.role;
        let entry = entry_of(role)?;
        let phase = match role {
            Role::Claiming(_, phase) => *phase,
            Role::Leading(lead) => lead.append?,
            _ => return None,
        };
        let here = match phase {
            AppendPhase::Put => return None,
            AppendPhase::ReadHere => {
                let here = world.entry(entry.position).copied();
                return set_phase(world, index, AppendPhase::ReadNext(here));
            }
            AppendPhase::ReadNext(here) => here,
        };
        let next = world.entry(entry.position.next());
        match (self.rules.after_read_back)(&entry, here.as_ref(), next) {
            AfterReadBack::Appended => self.appended(world, index, entry),
            AfterReadBack::PutAgain => set_phase(world, index, AppendPhase::Put),
            AfterReadBack::Taken(by) | AfterReadBack::Overtaken(by) => {
                self.not_appended(world, index, by)
            }
        }
    }

    fn appended(&self, world: &mut World, index: usize, entry: EntryHeader) -> Option<()> {
        if let Role::Claiming(..) = world.processes.get(index)?.role {
            world.processes.get_mut(index)?.role = Role::Verifying(entry);
            return Some(());
        }
        note_place(world, &entry);
        let lead = lead(world, index)?;
        lead.view = lead.view.appended();
        lead.append = None;
        lead.pending = None;
        Some(())
    }

    /// A candidate looks again where the log ends; a leader is fenced and stops.
    fn not_appended(&self, world: &mut World, index: usize, by: EntryHeader) -> Option<()> {
        let process = world.processes.get_mut(index)?;
        match &mut process.role {
            Role::Claiming(..) => {
                let search = TailSearch::new(None, self.segment_length);
                process.role = Role::Searching(search, None);
            }
            // Only by a broken rule: the leader takes its entry for lost and cleans up.
            Role::Leading(lead) if by.writer == lead.view.last().writer => {
                lead.view = Leadership::new(*lead.view.last());
                lead.append = None;
                let (epoch, id) = (lead.view.epoch(), lead.pending.take()?);
                let name = self.stored_name(CheckpointName { epoch, id });
                world.store.objects.retain(|object| object.name.1 != name);
            }
            _ => process.role = Role::Stopped,
        }
        Some(())
    }

    fn verify(&self, world: &mut World, index: usize) -> Option<()> {
        let Role::Verifying(claim) = world.processes.get(index)?.role else { return None };
        let sealed = world.is_sealed(Segment::of(claim.position, self.segment_length));
        let role = if (self.rules.claim_counts)(sealed) {
            note_place(world, &claim);
            let view = Leadership::new(claim);
            let wrong = latest_before(world, &claim) != view.latest_publish();
            world.wrongs.wrong_restore |= wrong;
            Role::Leading(Box::new(Lead {
                view,
                append: None,
                begun: 0,
                next: view.next_checkpoint_id(),
                pending: None,
                collection: None,
            }))
        } else {
            world.claim_void = true;
            Role::Searching(TailSearch::new(None, self.segment_length), None)
        };
        world.processes.get_mut(index)?.role = role;
        Some(())
    }

    fn begin(&self, world: &mut World, index: usize) -> Option<()> {
        let lead = lead(world, index)?;
        let name = CheckpointName { epoch: lead.view.epoch(), id: lead.next };
        let latest = lead.view.latest_publish();
        lead.pending = Some(name.id);
        lead.begun += 1;
        lead.next = CheckpointId(name.id.0 + 1);
        let base = latest.and_then(|latest| world.name_of(latest));
        let input = base.and_then(|base| world.checkpoint(base)).map_or(0, |base| base.input) + 1;
        world.checkpoints.push(Checkpoint { name, base, input });
        world.checkpoints.sort_by_key(|checkpoint| checkpoint.name);
        if self.collects_objects {
            for part in [Part::Runs, Part::Manifest] {
                let stored = (part, self.stored_name(name));
                world.store.objects.retain(|object| object.name != stored);
                world.store.objects.push(Object { name: stored, content: name });
            }
            world.store.objects.sort();
        }
        Some(())
    }

    /// The name of a checkpoint's object.
    pub(crate) fn stored_name(&self, name: CheckpointName) -> CheckpointName {
        let epoch = if self.rules.names_hold_epochs { name.epoch } else { Default::default() };
        CheckpointName { epoch, ..name }
    }

    fn end(&self, world: &mut World, index: usize) -> Option<()> {
        let latest = lead(world, index)?.view.latest_publish();
        let committed = latest.filter(|latest| all_committed(world, *latest));
        let nonce = nonce(world, index)?;
        let lead = lead(world, index)?;
        let committed = committed.map(|latest| latest.checkpoint_id);
        let status = TerminalStatus::Finished;
        let entry = (self.rules.terminal)(&lead.view, status, committed, nonce).ok()?;
        write(lead, entry);
        Some(())
    }

    fn commit(&self, world: &mut World, index: usize) -> Option<()> {
        let view = lead(world, index)?.view;
        let next = world.entry(view.last().position.next());
        match (self.rules.decide_commit)(&view, next) {
            Ok(published) => {
                let epoch = view.epoch();
                world.wrongs.fenced_commit |= world.is_fenced(epoch);
                // A leader knows what it restored or published, wherever the entry really is.
                let name = world.name_of(published);
                let own = CheckpointName { epoch, id: published.checkpoint_id };
                let up_to = name.filter(|name| name.id == published.checkpoint_id).unwrap_or(own);
                let order = Order { epoch, up_to };
                if let Err(place) = world.orders.binary_search(&order) {
                    world.orders.insert(place, order);
                }
            }
            Err(Refusal::Fenced(_)) => world.processes.get_mut(index)?.role = Role::Stopped,
            Err(_) => return None,
        }
        Some(())
    }

    fn deliver(&self, world: &mut World, order: usize, sink: usize) -> Option<()> {
        let order = *world.orders.get(order)?;
        let mut transactions: Vec<CheckpointName> =
            world.lineage(order.up_to).map(|checkpoint| checkpoint.name).collect();
        transactions.reverse();
        let sink = world.sinks.get_mut(sink)?;
        if !(self.rules.obeys)(sink.highest_seen, order.epoch) {
            return None;
        }
        world.wrongs.obeyed_lower |= sink.highest_seen.is_some_and(|seen| order.epoch < seen);
        sink.highest_seen = sink.highest_seen.max(Some(order.epoch));
        transactions.retain(|transaction| !sink.committed.contains(transaction));
        sink.committed.extend(transactions);
        Some(())
    }
}

/// Whether every sink has committed the checkpoint's output and all before it.
pub(crate) fn all_committed(world: &World, published: Published) -> bool {
    let Some(name) = world.name_of(published) else { return false };
    world
        .sinks
        .iter()
        .all(|sink| world.lineage(name).all(|checkpoint| sink.committed.contains(&checkpoint.name)))
}

pub(crate) fn lead(world: &mut World, index: usize) -> Option<&mut Lead> {
    match &mut world.processes.get_mut(index)?.role {
        Role::Leading(lead) => Some(lead),
        _ => None,
    }
}

fn nonce(world: &mut World, index: usize) -> Option<u64> {
    let process = world.processes.get_mut(index)?;
    process.nonce += 1;
    Some(process.nonce)
}

fn entry_of(role: &Role) -> Option<EntryHeader> {
    match role {
        Role::Claiming(entry, _) => Some(*entry),
        Role::Leading(lead) => lead.view.in_doubt().copied(),
        _ => None,
    }
}

fn write(lead: &mut Lead, entry: EntryHeader) {
    lead.view = lead.view.writing(entry);
    lead.append = Some(AppendPhase::Put);
}

fn set_phase(world: &mut World, index: usize, next: AppendPhase) -> Option<()> {
    match &mut world.processes.get_mut(index)?.role {
        Role::Claiming(_, phase) => *phase = next,
        Role::Leading(lead) => lead.append = Some(next),
        _ => return None,
    }
    Some(())
}

/// The last publish of the leaders before this claim.
fn latest_before(world: &World, claim: &EntryHeader) -> Option<Published> {
    let mut older = world.real_entries().rev().filter(|entry| entry.epoch < claim.epoch);
    let published = older.find(|entry| matches!(entry.kind, EntryKind::Publish(_)));
    published.and_then(EntryHeader::latest_publish)
}

/// Its writer takes the entry for appended: it must be what was first written there.
fn note_place(world: &mut World, entry: &EntryHeader) {
    let first = world.history.get(entry.position.0 as usize).copied().flatten();
    world.wrongs.two_publishers |= first.as_ref() != Some(entry);
}
