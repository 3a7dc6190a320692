//! Tells one build of the binary from another: code is found by ids, so all processes of a cluster
//! must have the same.

use std::io::Read;

use xxhash_rust::xxh3::Xxh3Default;

/// A number that differs when the running binary does. 0 when it can't be read; then every
/// process that can read its own is refused, which names the problem.
pub(super) fn build_id() -> u64 {
    let mut hash = Xxh3Default::new();
    let Ok(mut binary) = std::env::current_exe().and_then(std::fs::File::open) else { return 0 };
    let mut piece = vec![0; 1 << 20];
    loop {
        match binary.read(&mut piece) {
            Ok(0) => return hash.digest(),
            Ok(read) => hash.update(&piece[..read]),
            Err(_) => return 0,
        }
    }
}
