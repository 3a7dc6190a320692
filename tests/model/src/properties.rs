//! What must hold in every state, and what must be possible.

use stateright::Property;
use thalweg_storage::log::EntryKind;

use crate::scope::Scope;
use crate::steps::all_committed;
use crate::world::{CheckpointName, Object, Part, World};

/// One entry a place, and whoever takes an entry for appended is right.
pub(crate) const ONE_PUBLISHER: &str = "one publisher per place in the log";
/// Epochs rise with claims; between two claims all entries are of the first one's leader.
pub(crate) const EPOCHS: &str = "after a claim nothing of a lower epoch is published";
/// Checkpoint ids rise along the log.
pub(crate) const IDS_RISE: &str = "checkpoint ids rise for the whole life of a job";
/// A leader begins with the last published checkpoint.
pub(crate) const RESTORE: &str = "restore = latest published";
/// All that the last published checkpoint refers to is there and is its own.
pub(crate) const REFERENCED: &str = "nothing referenced is deleted";
/// Whoever finds a manifest that was published can restore from it, also while a collector is at
/// work or has stopped.
pub(crate) const MANIFESTS: &str = "a published manifest that is there has its objects";
/// A unit of input reaches each sink's output at most once.
pub(crate) const TWICE: &str = "nothing is committed twice";
/// What a sink committed is part of a published checkpoint.
pub(crate) const UNPUBLISHED: &str = "nothing is committed that isn't published";
/// Who is fenced before it looks gets no permit, and sinks don't go back.
pub(crate) const FENCED_COMMIT: &str = "nothing is committed by a fenced leader";
/// Who is fenced before it looks begins no collection.
pub(crate) const FENCED_DELETE: &str = "nothing is collected by a fenced leader";
/// Once a job has finished, all published output is committed.
pub(crate) const LOST: &str = "nothing is lost by a job that finished";
/// The search finds a log that is whole.
pub(crate) const WHOLE: &str = "the log's end is always found";
/// Claims, terminal entries, the log's tail and the last publish stay.
pub(crate) const KEPT: &str = "claims, the last publish and the log's tail are never deleted";
/// Nothing follows the job's end.
pub(crate) const END: &str = "nothing follows the terminal entry";

pub(crate) fn all(scope: &Scope) -> Vec<Property<Scope>> {
    let mut properties = vec![
        Property::always(ONE_PUBLISHER, |_, world: &World| !world.wrongs.two_publishers),
        Property::always(EPOCHS, |_, world: &World| epochs_rise(world)),
        Property::always(IDS_RISE, |_, world: &World| ids_rise(world)),
        Property::always(RESTORE, |_, world: &World| !world.wrongs.wrong_restore),
        Property::always(REFERENCED, referenced_is_there),
        Property::always(MANIFESTS, manifests_are_whole),
        Property::always(TWICE, |_, world: &World| nothing_twice(world)),
        Property::always(UNPUBLISHED, |_, world: &World| only_published(world)),
        Property::always(FENCED_COMMIT, |_, world: &World| {
            !world.wrongs.fenced_commit && !world.wrongs.obeyed_lower
        }),
        Property::always(FENCED_DELETE, |_, world: &World| !world.wrongs.fenced_collection),
        Property::always(LOST, |_, world: &World| nothing_lost(world)),
        Property::always(WHOLE, |_, world: &World| !world.wrongs.damaged),
        Property::always(KEPT, |_, world: &World| kept(world)),
        Property::always(END, |_, world: &World| nothing_follows_the_end(world)),
        Property::sometimes("a checkpoint is published", |_, world: &World| {
            world.latest_publish().is_some()
        }),
        Property::sometimes(
            "a takeover after a publish, and a publish after it",
            |_, world: &World| {
                let publishes = world.real_entries().filter(|entry| is_publish(entry.kind));
                let mut epochs = publishes.map(|entry| entry.epoch);
                let first = epochs.next();
                epochs.any(|epoch| Some(epoch) != first)
            },
        ),
    ];
    if scope.sinks > 0 {
        properties.push(Property::sometimes(
            "all sinks commit after a takeover",
            |_, world: &World| {
                let committed =
                    world.latest_publish().is_some_and(|last| all_committed(world, last));
                committed && world.orders.iter().any(|order| order.epoch > order.up_to.epoch)
            },
        ));
    }
    if scope.ends {
        properties
            .push(Property::sometimes("the terminal entry is written", |_, world: &World| {
                world.terminal().is_some() && world.latest_publish().is_some()
            }));
    }
    if scope.collects_objects {
        properties
            .push(Property::sometimes("an object is deleted", |_, w: &World| w.object_deleted));
    }
    if scope.collects_entries {
        properties.push(Property::sometimes("an entry is deleted", |_, w: &World| w.entry_deleted));
        properties
            .push(Property::sometimes("a claim falls into a gap", |_, w: &World| w.claim_void));
    }
    properties
}

fn is_publish(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Publish(_))
}

fn epochs_rise(world: &World) -> bool {
    let entries: Vec<_> = world.real_entries().collect();
    let first = entries.first().is_none_or(|entry| entry.kind == EntryKind::Claim);
    first
        && entries.windows(2).all(|pair| match pair {
            [a, b] if b.kind == EntryKind::Claim => a.epoch < b.epoch,
            [a, b] => a.epoch == b.epoch && a.writer == b.writer,
            _ => true,
        })
}

fn ids_rise(world: &World) -> bool {
    let publishes = world.real_entries().filter_map(|entry| match entry.kind {
        EntryKind::Publish(id) => Some(id),
        EntryKind::Claim | EntryKind::Terminal(_) => None,
    });
    publishes.is_sorted_by(|a, b| a < b)
}

fn referenced_is_there(scope: &Scope, world: &World) -> bool {
    if !scope.collects_objects || world.terminal().is_some() {
        return true;
    }
    let Some(latest) = world.latest_publish() else { return true };
    let Some(name) = world.name_of(latest) else { return false };
    let manifest = (Part::Manifest, scope.stored_name(name));
    world.has(manifest, name) && runs_are_there(scope, world, name)
}

fn runs_are_there(scope: &Scope, world: &World, checkpoint: CheckpointName) -> bool {
    world.references(checkpoint).all(|content| {
        let name = (Part::Runs, scope.stored_name(content));
        world.has(name, content)
    })
}

fn manifests_are_whole(scope: &Scope, world: &World) -> bool {
    // What a fenced leader still writes may go on from what has been collected.
    let is_manifest =
        |object: &&Object| object.name.0 == Part::Manifest && is_published(world, object.content);
    let mut manifests = world.store.objects.iter().filter(is_manifest);
    manifests.all(|manifest| runs_are_there(scope, world, manifest.content))
}

fn nothing_twice(world: &World) -> bool {
    world.sinks.iter().all(|sink| {
        let inputs = sink.committed.iter().map(|name| world.checkpoint(*name).map(|c| c.input));
        // Units of input follow one another, none left out and none again.
        inputs.enumerate().all(|(before, input)| input == Some(before as u8 + 1))
    })
}

fn only_published(world: &World) -> bool {
    let mut committed = world.sinks.iter().flat_map(|sink| &sink.committed);
    committed.all(|name| is_published(world, *name))
}

fn is_published(world: &World, name: CheckpointName) -> bool {
    world
        .real_entries()
        .any(|entry| entry.epoch == name.epoch && entry.kind == EntryKind::Publish(name.id))
}

fn nothing_lost(world: &World) -> bool {
    match (world.terminal(), world.latest_publish()) {
        (Some(_), Some(latest)) => all_committed(world, latest),
        _ => true,
    }
}

fn kept(world: &World) -> bool {
    let latest = world.latest_publish().map(|latest| latest.position);
    let tail = world.real_entries().last().map(|entry| entry.position);
    world.real_entries().all(|entry| {
        let stays = !is_publish(entry.kind)
            || Some(entry.position) == latest
            || Some(entry.position) == tail;
        !stays || world.entry(entry.position) == Some(entry)
    })
}

fn nothing_follows_the_end(world: &World) -> bool {
    let last = world.real_entries().last();
    world.terminal().is_none_or(|terminal| last == Some(terminal))
}
