//! Registration, heartbeats, loss. Not here: what the loss of a TaskManager means for jobs.

use std::time::Duration;

use thalweg_core::ids::TaskManagerId;
use thalweg_rpc::message::{Registration, RegistrationRefusal, TaskManagerHeartbeat};

use super::{
    ConnectionId, Disconnection, ResourceAction, ResourceManager, SlotEvent, TaskManager,
    WorkerEvent, busy_slots,
};
use crate::moment::Moment;

/// What a message about a TaskManager's state was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reception {
    /// News: act on it.
    Fresh,
    /// Older than what is known, or of one that isn't registered here: drop it.
    Stale,
}

/// More executions than any TaskManager runs: what lists more is garbage.
const SLOTS_MAX: u32 = thalweg_core::configuration::options::taskmanager::SLOTS_MAX;

impl ResourceManager {
    /// A TaskManager registers on `connection`, with its message's `sequence`:
    ///
    /// 1. A wrong build, or no slots, is refused.
    /// 2. One that is known goes on with its new connection; the former one counts no more.
    /// 3. A message older than the newest heard changes nothing.
    pub fn register(
        &mut self,
        connection: ConnectionId,
        registration: Registration,
        sequence: u64,
        build_id: u64,
        now: Moment,
    ) -> Result<(Reception, Vec<ResourceAction>), RegistrationRefusal> {
        if registration.build_id != build_id {
            let (expected, found) = (build_id, registration.build_id);
            return Err(RegistrationRefusal::BuildMismatch { expected, found });
        }
        if !(1..=SLOTS_MAX).contains(&registration.slots) {
            return Err(RegistrationRefusal::Invalid(format!(
                "{} slots; it needs from 1 to {SLOTS_MAX}",
                registration.slots
            )));
        }
        let id = registration.id.clone();
        let known = self.task_managers.get_mut(&id);
        if let Some(known) = known {
            if sequence <= known.sequence {
                return Ok((Reception::Stale, Vec::new()));
            }
            known.connection = Some(connection);
            known.disconnected = None;
            known.last_heard = now;
            known.sequence = sequence;
            let executions = registration.executions;
            let mut actions = self.report_busy(&id, &executions, now);
            actions.extend(self.says_leaving(&id, registration.leaving.as_ref(), now));
            return Ok((Reception::Fresh, actions));
        }
        let event = SlotEvent::Registered {
            task_manager: id.clone(),
            slots: registration.slots,
            data_address: registration.data_address.clone(),
            // What still runs there must be known before its slots can be given away.
            busy: busy_slots(&registration.executions),
            leaving: registration.leaving.is_some(),
        };
        let leaving = registration.leaving.clone();
        self.task_managers.insert(
            id.clone(),
            TaskManager {
                registration,
                connection: Some(connection),
                last_heard: now,
                metrics: Vec::new(),
                leave: None,
                disconnected: None,
                sequence,
            },
        );
        let mut actions = self.worker_changed(&id, true);
        actions.extend(self.slot_event(event, now));
        actions.extend(self.says_leaving(&id, leaving.as_ref(), now));
        Ok((Reception::Fresh, actions))
    }

    /// A heartbeat on `connection`.
    pub fn heartbeat(
        &mut self,
        connection: ConnectionId,
        heartbeat: &TaskManagerHeartbeat,
        sequence: u64,
        now: Moment,
    ) -> (Reception, Vec<ResourceAction>) {
        let Some(known) = self.task_managers.get_mut(&heartbeat.id) else {
            return (Reception::Stale, Vec::new());
        };
        if known.connection != Some(connection) || sequence <= known.sequence {
            return (Reception::Stale, Vec::new());
        }
        known.last_heard = now;
        known.sequence = sequence;
        known.metrics.clone_from(&heartbeat.metrics);
        let mut actions = self.report_busy(&heartbeat.id, &heartbeat.executions, now);
        actions.extend(self.says_leaving(&heartbeat.id, heartbeat.leaving.as_ref(), now));
        (Reception::Fresh, actions)
    }

    /// A connection is gone. Its TaskManager has a moment to connect again, during which none of
    /// its slots are given away.
    pub fn disconnected(
        &mut self,
        connection: ConnectionId,
        how: Disconnection,
        now: Moment,
    ) -> Vec<ResourceAction> {
        let mut all = self.task_managers.iter_mut();
        let Some((id, known)) = all.find(|(_, tm)| tm.connection == Some(connection)) else {
            return Vec::new();
        };
        known.connection = None;
        known.disconnected = Some((how, now.elapsed));
        let event = SlotEvent::Disconnected(id.clone());
        self.slot_event(event, now)
    }

    /// A TaskManager is gone for certain: it said so, or can't be borne any longer.
    pub fn remove(&mut self, id: &TaskManagerId, cause: &str, now: Moment) -> Vec<ResourceAction> {
        let Some(gone) = self.task_managers.remove(id) else { return Vec::new() };
        let mut actions = vec![ResourceAction::Lost {
            task_manager: id.clone(),
            connection: gone.connection,
            cause: cause.to_owned(),
        }];
        actions.extend(self.worker_changed(id, false));
        actions.extend(self.slot_event(SlotEvent::Lost(id.clone()), now));
        actions
    }

    /// What the driver says of one, which may not have registered, or be gone already.
    pub fn worker_event(
        &mut self,
        id: &TaskManagerId,
        event: &WorkerEvent,
        now: Moment,
    ) -> Vec<ResourceAction> {
        match event {
            WorkerEvent::Gone(cause) => {
                let cause = format!("TaskManager {id} was lost: {cause}");
                self.remove(id, &cause, now)
            }
            WorkerEvent::Leaving(reason) => self.leaves(id, reason, self.options.leave_time, now),
        }
    }

    fn worker_changed(&self, id: &TaskManagerId, registered: bool) -> Vec<ResourceAction> {
        let changed = ResourceAction::WorkerChanged(id.clone(), registered);
        self.workers.map(|_| changed).into_iter().collect()
    }

    /// Time has passed: TaskManagers that were silent or unconnected for too long are lost.
    pub fn tick(&mut self, now: Moment) -> Vec<ResourceAction> {
        let late = |tm: &TaskManager| now.elapsed >= self.lost_at(tm);
        let lost: Vec<(TaskManagerId, String)> = self
            .task_managers
            .iter()
            .filter(|(_, tm)| late(tm))
            .map(|(id, tm)| (id.clone(), self.cause_of_loss(id, tm)))
            .collect();
        let mut actions = Vec::new();
        for (id, cause) in lost {
            actions.extend(self.remove(&id, &cause, now));
        }
        actions.extend(self.slot_event(SlotEvent::Tick, now));
        actions
    }

    fn cause_of_loss(&self, id: &TaskManagerId, tm: &TaskManager) -> String {
        match tm.disconnected {
            Some((how, _)) => format!(
                "TaskManager {id} was lost: its connection {}, and there was no other for {:?}",
                match how {
                    Disconnection::Closed => "closed",
                    Disconnection::Broken => "broke",
                },
                self.grace(how)
            ),
            None => format!(
                "TaskManager {id} was lost: no heartbeat for {:?} (heartbeat.timeout)",
                self.options.heartbeat_timeout
            ),
        }
    }

    /// When it counts as lost if nothing is heard.
    pub(super) fn lost_at(&self, tm: &TaskManager) -> Duration {
        let silent = tm.last_heard.elapsed + self.options.heartbeat_timeout;
        let gone = tm.disconnected.map(|(how, at)| at + self.grace(how));
        gone.map_or(silent, |gone| gone.min(silent))
    }

    fn grace(&self, how: Disconnection) -> Duration {
        match how {
            Disconnection::Closed => self.options.close_grace,
            Disconnection::Broken => self.options.reconnect_grace,
        }
    }
}
