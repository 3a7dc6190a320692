//! What to tell somebody who wrote a key that doesn't exist: the name it has here, the nearest
//! name, or why there is none.

use std::fmt;

use super::options;

/// Keys longer than this get no nearest key: the comparison takes time with the square of it.
const COMPARED_CHARACTERS_MAX: usize = 128;

/// What to do about an unknown key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advice {
    /// The nearest key.
    DidYouMean(&'static str),
    /// What Flink calls so is this key.
    Renamed(&'static str),
    /// Flink needs it, and Thalweg doesn't, for this reason.
    NotNeeded(&'static str),
    /// Nothing is near.
    SeeReference,
}

impl fmt::Display for Advice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DidYouMean(key) => write!(f, "did you mean {key}?"),
            Self::Renamed(key) => write!(f, "the key is {key} here"),
            Self::NotNeeded(reason) => write!(f, "remove it: {reason}"),
            Self::SeeReference => f.write_str("docs/configuration.md lists all keys"),
        }
    }
}

/// Keys (or beginnings of keys, when they end with a dot) that Flink has and Thalweg doesn't; the
/// first that fits counts.
pub(super) const FLINK_KEYS: [(&str, Advice); 13] = [
    ("restart-strategy", Advice::Renamed("restart-strategy.type")),
    ("state.backend", Advice::Renamed("state.backend.type")),
    ("state.checkpoints.dir", Advice::Renamed("execution.checkpointing.dir")),
    ("state.checkpoints.num-retained", Advice::Renamed("execution.checkpointing.num-retained")),
    ("rest.bind-port", Advice::Renamed("rest.port")),
    (
        "state.checkpoint-storage",
        Advice::NotNeeded("checkpoints are always kept in execution.checkpointing.dir"),
    ),
    (
        "metrics.reporter.",
        Advice::NotNeeded("the Prometheus reporter is built in; its port is metrics.port"),
    ),
    (
        "taskmanager.memory.network.",
        Advice::NotNeeded("taskmanager.memory.network.fraction alone sets the network's memory"),
    ),
    (
        "taskmanager.memory.",
        Advice::NotNeeded("taskmanager.memory.process.size is the one number, and is divided"),
    ),
    (
        "jobmanager.memory.",
        Advice::NotNeeded("the JobManager takes what it needs; limit its container instead"),
    ),
    (
        "taskmanager.rpc.",
        Advice::NotNeeded("TaskManagers connect to the JobManager and have no RPC port"),
    ),
    ("env.java.", Advice::NotNeeded("there is no JVM")),
    ("pipeline.object-reuse", Advice::NotNeeded("records aren't copied between chained operators")),
];

/// What to tell about a key that no option has.
///
/// In this order: a key of Flink's that has another name or no meaning here; the option whose
/// last parts are the key; the option with the smallest edit distance, when that is at most a
/// quarter of the key (and at least 2 are allowed); the reference.
pub(super) fn advice(key: &str) -> Advice {
    let near = nearest(key);
    let of_flink = FLINK_KEYS
        .iter()
        .find(|(name, _)| key == *name || (name.ends_with('.') && key.starts_with(name)));
    match (of_flink, near) {
        // A slip in one of our own keys, like taskmanager.memory.process.sise.
        (Some((name, _)), Some((near, distance))) if *name != key && distance <= 2 => {
            Advice::DidYouMean(near)
        }
        (Some((_, advice)), _) => *advice,
        (None, Some((near, _))) => Advice::DidYouMean(near),
        (None, None) => Advice::SeeReference,
    }
}

fn nearest(key: &str) -> Option<(&'static str, usize)> {
    let wanted: Vec<char> = normalised(key);
    if wanted.is_empty() || wanted.len() > COMPARED_CHARACTERS_MAX {
        return None;
    }
    let mut ending = vec!['.'];
    ending.extend(&wanted);
    let known = || options::all().map(|option| (option.key(), normalised(option.key())));
    if let Some((key, _)) = known().find(|(_, characters)| characters.ends_with(&ending)) {
        return Some((key, 0));
    }
    known()
        .map(|(key, characters)| (key, distance(&wanted, &characters)))
        .min_by_key(|(_, distance)| *distance)
        .filter(|(_, distance)| *distance <= (wanted.len() / 4).max(2))
}

fn normalised(key: &str) -> Vec<char> {
    key.chars().map(|c| if c == '_' { '-' } else { c.to_ascii_lowercase() }).collect()
}

/// The number of insertions, deletions, replacements and swaps of neighbours between the two.
fn distance(left: &[char], right: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (i, a) in left.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, b) in right.iter().enumerate() {
            let mut best = (last[j] + usize::from(a != b)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *a == right[j - 1] && left[i - 1] == *b {
                best = best.min(before_last[j - 1] + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    last.last().copied().unwrap_or(0)
}
