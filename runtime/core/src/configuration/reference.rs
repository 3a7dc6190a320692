//! The reference page, made from the registry. docs/configuration.md is its output; a test keeps
//! the two equal.

use super::options::{self, Group};
use super::{AnyOption, MemoryPlan, MemorySize, Provenance};

const INTRODUCTION: &str = "\
# Configuration

<!-- Made from the option registry (runtime/core/src/configuration/options). Don't edit it:
     THALWEG_UPDATE=1 cargo test -p thalweg-core configuration -->

The options of a JobManager, a TaskManager and a LocalEnvironment. They stand in a YAML file
(`--config FILE`), with dotted keys, as nested mappings, or both; `-D key=value` on the command
line goes before the file:

```yaml
parallelism.default: 4
taskmanager:
  numberOfTaskSlots: 4
  memory.process.size: 2 gb
```

Keys and meanings are Apache Flink's, unless an option is marked \"Not in Flink\"; where the
default differs, Flink's is named. A key that doesn't exist, a key that is set twice and a value
that isn't accepted are errors; nothing is read and ignored.

A **duration** is an integer and a unit (`d`, `h`, `min`, `s`, `ms`, `µs`, `ns`; without one:
milliseconds), a **memory size** an integer and a unit (`tb`, `gb`, `mb`, `kb`, `b`, 1024-based;
without one: bytes). Names of enumerations are compared without regard to case. Where REST and
logs show the configuration, values of keys that look like secrets are hidden.
";

/// The reference page in Markdown.
pub fn reference_markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    for group in options::GROUPS {
        page.push_str(&table(group));
    }
    page.push_str(&memory_table());
    page
}

fn table(group: &Group) -> String {
    let mut table = format!(
        "\n## {}\n\n| Key | Default | Value | Meaning |\n| --- | --- | --- | --- |\n",
        group.title
    );
    for option in group.options {
        table.push_str(&row(*option));
    }
    table
}

fn row(option: &dyn AnyOption) -> String {
    let default = option.default_text().map_or("none".to_owned(), |text| format!("`{text}`"));
    let mut meaning = option.description().to_owned();
    match option.provenance() {
        Provenance::Flink => {}
        Provenance::FlinkWithDefault(default) => {
            meaning.push_str(&format!(" Flink's default: {default}."));
        }
        Provenance::Thalweg => meaning.push_str(" *Not in Flink.*"),
    }
    if let Some(key) = option.other_key() {
        meaning.push_str(&format!(" Also accepted: `{key}`."));
    }
    format!("| `{}` | {default} | {} | {meaning} |\n", option.key(), option.expected())
}

/// What becomes of some sizes, computed by the code that divides them.
fn memory_table() -> String {
    let mut table = "
## How the memory is divided

`taskmanager.memory.process.size` is divided once, at the start: a tenth (at least 32 mb, at most
1 gb) is the process's overhead; of the rest, `taskmanager.memory.network.fraction` (at least
8 mb) is for data in flight; the slots share what is left equally, at least 32 mb each: 60 % for
state, 10 % for snapshots that wait for their upload, 30 % for user code. A size that is too small
is refused with the least one that is possible. With the default fraction, in MiB:

| Size | Slots | Overhead | Network | State per slot | Snapshots per slot | User code per slot |
| --- | --- | --- | --- | --- | --- | --- |
"
    .to_owned();
    let mib = |size: MemorySize| size.bytes() >> 20;
    for (size, slots) in [(128, 1), (1024, 1), (1024, 4), (4096, 4), (16384, 8)] {
        let size = MemorySize::from_mib(size);
        let fraction = options::network::MEMORY_FRACTION.default_value();
        if let Ok(plan) = MemoryPlan::divide(size, slots, fraction) {
            table.push_str(&format!(
                "| {} | {slots} | {} | {} | {} | {} | {} |\n",
                mib(size),
                mib(plan.overhead),
                mib(plan.network),
                mib(plan.per_slot.state),
                mib(plan.per_slot.snapshot_buffers),
                mib(plan.per_slot.user_code),
            ));
        }
    }
    table
}
