//! Part files on disk: making one, and making it visible so that this survives a loss of power.
//! Each function is one step; what a kill between two of them leaves behind is handled by the
//! commit that comes after the restart.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A part can't be written or made visible.
#[derive(Debug, thiserror::Error)]
pub(super) enum PartError {
    #[error("can't {what} {path}: {source}. Check the folder's permissions and free space")]
    Io { what: &'static str, path: String, source: io::Error },
    #[error(
        "{path} is to be a folder for part files, but is a file: move it away, or name another \
         folder"
    )]
    NotAFolder { path: String },
    #[error(
        "can't commit {temporary}: another file has its final name {path} already. Nothing was \
         overwritten; move that file away"
    )]
    Taken { temporary: String, path: String },
    #[error(
        "can't commit {temporary}: it is gone, and {path} isn't there either. Somebody has \
         deleted what was still to be committed; its rows are lost"
    )]
    Gone { temporary: String, path: String },
    #[error("the committable isn't one of this version's file sink: {0}")]
    Committable(String),
}

pub(super) fn failed(what: &'static str, path: &Path) -> impl Fn(io::Error) -> PartError {
    move |source| PartError::Io { what, path: path.display().to_string(), source }
}

/// Makes the folder, if it isn't there.
pub(super) fn make_folder(path: &Path) -> Result<(), PartError> {
    if path.is_file() {
        return Err(PartError::NotAFolder { path: path.display().to_string() });
    }
    fs::create_dir_all(path).map_err(failed("make the folder", path))
}

/// Makes a new file; one that is there is never touched.
pub(super) fn create(path: &Path) -> Result<File, PartError> {
    File::create_new(path).map_err(failed("make the part file", path))
}

/// Makes names in the folder durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), PartError> {
    File::open(path).and_then(|folder| folder.sync_all()).map_err(failed("sync the folder", path))
}

/// What a commit found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is visible now.
    Now,
    /// It was visible before.
    Before,
    /// Neither name is there: it was visible before and was taken away, or it was deleted.
    Gone,
}

/// Gives a part its final name without replacing anything. Can be repeated after a kill at any
/// step: the final name is made as a second name of the same file, then the first one goes.
pub(super) fn make_visible(temporary: &Path, path: &Path) -> Result<Committed, PartError> {
    match fs::hard_link(temporary, path) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let there = path.try_exists().map_err(failed("look for", path))?;
            return Ok(if there { Committed::Before } else { Committed::Gone });
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if !same_file(temporary, path)? {
                return Err(PartError::Taken {
                    temporary: temporary.display().to_string(),
                    path: path.display().to_string(),
                });
            }
        }
        Err(error) if has_no_links(&error) => return rename(temporary, path),
        Err(error) => return Err(failed("commit the part file", path)(error)),
    }
    fs::remove_file(temporary).map_err(failed("remove the first name of a part", temporary))?;
    Ok(Committed::Now)
}

/// On a file system that has no second names. Nobody else makes this final name, so looking first
/// is enough.
fn rename(temporary: &Path, path: &Path) -> Result<Committed, PartError> {
    if path.try_exists().map_err(failed("look for", path))? {
        return Err(PartError::Taken {
            temporary: temporary.display().to_string(),
            path: path.display().to_string(),
        });
    }
    fs::rename(temporary, path).map_err(failed("commit the part file", path))?;
    Ok(Committed::Now)
}

fn has_no_links(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, Unsupported};
    matches!(error.kind(), PermissionDenied | Unsupported)
}

#[cfg(unix)]
fn same_file(a: &Path, b: &Path) -> Result<bool, PartError> {
    use std::os::unix::fs::MetadataExt;
    let a = fs::metadata(a).map_err(failed("look at", a))?;
    let b = fs::metadata(b).map_err(failed("look at", b))?;
    Ok((a.dev(), a.ino()) == (b.dev(), b.ino()))
}

#[cfg(not(unix))]
fn same_file(a: &Path, b: &Path) -> Result<bool, PartError> {
    let content = |path: &Path| fs::read(path).map_err(failed("look at", path));
    Ok(content(a)? == content(b)?)
}

/// Removes files that `left_over` names. One that is gone already is fine.
pub(super) fn remove_left_overs(
    folder: &Path,
    left_over: impl Fn(&str) -> bool,
) -> Result<Vec<PathBuf>, PartError> {
    let mut removed = Vec::new();
    for entry in fs::read_dir(folder).map_err(failed("list", folder))? {
        let entry = entry.map_err(failed("list", folder))?;
        if !entry.file_name().to_str().is_some_and(&left_over) {
            continue;
        }
        match fs::remove_file(entry.path()) {
            Ok(()) => removed.push(entry.path()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed("remove", &entry.path())(error)),
        }
    }
    Ok(removed)
}
