//! Who works: task executor, slots, task threads and their wiring.
