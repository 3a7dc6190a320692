//! The contract of stores, as `thalweg-storage` tries it on its other stores.

use std::sync::Arc;

use thalweg_storage::blob::{BlobErrorKind, MultipartStore, PutOutcome};
use thalweg_storage::log::{WriterId, probe};
use thalweg_storage::{BlobPath, BlobStore};

use crate::support::{World, path, run};

#[path = "../../../../runtime/storage/src/blob/tests/contract.rs"]
mod contract;

fn store(world: &World) -> Arc<dyn BlobStore> {
    Arc::new(world.store())
}

#[test]
fn a_blob_is_read_whole_and_in_ranges_until_it_is_deleted() {
    let world = World::new("read");
    contract::a_blob_is_read_whole_and_in_ranges_until_it_is_deleted(&store(&world));
}

#[test]
fn a_listing_holds_what_lies_within_the_folder_in_order() {
    let world = World::new("list");
    contract::a_listing_holds_what_lies_within_the_folder_in_order(&store(&world));
}

#[test]
fn of_many_that_create_a_blob_at_once_exactly_one_does() {
    let world = World::new("create");
    contract::of_many_that_create_a_blob_at_once_exactly_one_does(&store(&world));
}

#[test]
fn a_blob_that_is_written_in_pieces_appears_when_it_is_whole() {
    let world = World::new("pieces");
    contract::a_blob_that_is_written_in_pieces_appears_when_it_is_whole(&store(&world));
    // What was given up is thrown away, aside. Each look is a request.
    let given_up = path("job/chk-2/given-up");
    let looks = (0..1_000).map(|_| run(world.store().uploads(&given_up)).unwrap());
    assert!(looks.into_iter().any(|uploads| uploads.is_empty()), "the upload stays");
}

#[test]
fn a_listing_goes_on_over_pages() {
    let world = World::new("pages");
    let store = world.store();
    // A page has 1,000.
    let names: Vec<BlobPath> = (0..1_100).map(|n| path(&format!("folder/{n:05}"))).collect();
    for some in names.chunks(50) {
        // Requests begin when they are made.
        let writes: Vec<_> = some.iter().map(|name| store.put(name, b"x".to_vec())).collect();
        writes.into_iter().for_each(|write| run(write).unwrap());
    }
    assert_eq!(run(store.list(&path("folder"))).unwrap(), names);
}

#[test]
fn conditional_writes_are_honoured_as_the_log_needs_it() {
    let world = World::new("probe");
    run(probe::probe(&world.store(), WriterId(1))).unwrap();
    assert_eq!(run(world.store().list(&BlobPath::root())).unwrap(), []);
}
