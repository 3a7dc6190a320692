//! How a leader collects: it looks whether it leads, classifies everything, seals, deletes.

use thalweg_storage::log::collect::{self, CollectorView, ObjectClass, ObjectOrigin};
use thalweg_storage::log::names::Segment;
use thalweg_storage::log::{EntryHeader, Refusal};

use crate::process::{Collection, Role};
use crate::scope::Scope;
use crate::steps::lead;
use crate::world::{ObjectName, Part, World};

impl Scope {
    /// What a leader decides a collection from; it stops if it's fenced.
    pub(crate) fn collector_view(
        &self,
        world: &mut World,
        index: usize,
    ) -> Option<Option<CollectorView>> {
        let lead = lead(world, index)?;
        let (view, pending) = (lead.view, lead.pending);
        let next = world.entry(view.last().position.next());
        match (self.rules.check)(&view, next) {
            Ok(()) => {
                world.wrongs.fenced_collection |= world.is_fenced(view.epoch());
                let view = (self.rules.view_of_leader)(&view, pending);
                view.may_collect().then_some(Some(view))
            }
            Err(Refusal::Fenced(_)) => {
                world.processes.get_mut(index)?.role = Role::Stopped;
                Some(None)
            }
            Err(_) => None,
        }
    }

    pub(crate) fn go_on(&self, world: &mut World, index: usize) -> Option<()> {
        let next = match lead(world, index)?.collection.take()? {
            Collection::Objects(view) => Collection::DeleteObjects(self.garbage(world, &view)),
            Collection::DeleteObjects(mut garbage) => {
                let name = *garbage.first()?;
                garbage.remove(0);
                let before = world.store.objects.len();
                world.store.objects.retain(|object| object.name != name);
                world.object_deleted |= world.store.objects.len() < before;
                Collection::DeleteObjects(garbage)
            }
            Collection::Entries(view) => {
                let may_go = |entry: &&EntryHeader| {
                    (self.rules.entry_may_go)(&view, entry, None, self.segment_length)
                };
                let entries = world.store.entries.iter().flatten();
                Collection::Seal(entries.filter(may_go).map(|entry| entry.position).collect())
            }
            Collection::Seal(positions) => {
                for position in positions.iter().filter(|_| self.rules.seals) {
                    let segment = Segment::of(*position, self.segment_length).0 as usize;
                    *world.store.seals.get_mut(segment)? = true;
                }
                Collection::DeleteEntries(positions)
            }
            Collection::DeleteEntries(mut positions) => {
                let place = positions.pop()?.0 as usize;
                world.entry_deleted |= world.store.entries.get_mut(place)?.take().is_some();
                Collection::DeleteEntries(positions)
            }
        };
        let done = match &next {
            Collection::DeleteObjects(garbage) => garbage.is_empty(),
            Collection::Seal(positions) | Collection::DeleteEntries(positions) => {
                positions.is_empty()
            }
            Collection::Objects(_) | Collection::Entries(_) => false,
        };
        lead(world, index)?.collection = Some(next).filter(|_| !done);
        Some(())
    }

    /// Classifies every object that is listed.
    fn garbage(&self, world: &World, view: &CollectorView) -> Vec<ObjectName> {
        let root = view.last().latest_publish().filter(|_| !view.last().is_terminal());
        let root = root.and_then(|root| world.name_of(root));
        let runs = root.into_iter().flat_map(|root| world.references(root));
        let mut referenced: Vec<ObjectName> =
            runs.map(|content| (Part::Runs, self.stored_name(content))).collect();
        referenced.extend(root.map(|root| (Part::Manifest, self.stored_name(root))));
        let is_garbage = |object: &ObjectName| {
            let (_, name) = *object;
            let in_name = self.rules.names_hold_epochs;
            let epoch = if in_name { name.epoch } else { view.last().epoch };
            let origin = ObjectOrigin { epoch, checkpoint_id: name.id };
            let referenced = referenced.contains(object);
            (self.rules.classify_object)(view, Some(origin), referenced) == ObjectClass::Garbage
        };
        let names = world.store.objects.iter().map(|object| object.name);
        (self.rules.deletion_order)(names.filter(is_garbage).collect())
    }
}

/// Rule 7 of the production code.
pub(crate) fn deletion_order(garbage: Vec<ObjectName>) -> Vec<ObjectName> {
    collect::deletion_order(garbage, |(part, _)| *part == Part::Manifest)
}
