//! Tables and laws of the division.

use super::*;

const FRACTIONS: [f64; 4] = [0.01, 0.1, 0.5, 0.8];

fn mib(bytes: MemorySize) -> f64 {
    bytes.bytes() as f64 / MIB as f64
}

#[test]
fn the_division_is_as_documented() {
    // process size, slots, fraction -> overhead, network, slot in MiB.
    let table = [
        ((1024, 1, 0.1), (102.4, 92.16, 829.44)),
        ((1024, 4, 0.1), (102.4, 92.16, 207.36)),
        ((200, 2, 0.1), (32.0, 16.8, 75.6)),
        ((72, 1, 0.1), (32.0, 8.0, 32.0)),
        ((64 * 1024, 8, 0.25), (1024.0, 16128.0, 6048.0)),
    ];
    for ((size, slots, fraction), expected) in table {
        let plan = MemoryPlan::divide(MemorySize::from_mib(size), slots, fraction).unwrap();
        let found = (mib(plan.overhead), mib(plan.network), mib(plan.per_slot.total()));
        for (found, expected) in
            [(found.0, expected.0), (found.1, expected.1), (found.2, expected.2)]
        {
            assert!((found - expected).abs() < 0.001, "{size} mb, {slots} slots: {plan:?}");
        }
        let share = |part: MemorySize| part.bytes() as f64 / plan.per_slot.total().bytes() as f64;
        assert!((share(plan.per_slot.snapshot_buffers) - 0.1).abs() < 0.001);
        assert!((share(plan.per_slot.user_code) - 0.3).abs() < 0.001);
        assert!((share(plan.per_slot.state) - 0.6).abs() < 0.001);
    }
}

#[test]
fn the_parts_add_up_to_the_whole() {
    for bytes in [MIB * 8192 + 1, MIB * 9999 + 12_345, (1 << 40) + 7, u64::MAX] {
        for slots in [1, 2, 3, 7, 100] {
            for fraction in FRACTIONS {
                let Ok(plan) = MemoryPlan::divide(MemorySize::from_bytes(bytes), slots, fraction)
                else {
                    continue;
                };
                let slots_bytes = plan.per_slot.total().bytes() * u64::from(slots);
                assert_eq!(plan.overhead.bytes() + plan.network.bytes() + slots_bytes, bytes);
            }
        }
    }
}

#[test]
fn the_least_size_that_a_refusal_names_is_enough_and_one_mebibyte_less_is_not() {
    for slots in [1, 2, 3, 16, 255, taskmanager::SLOTS_MAX] {
        for fraction in FRACTIONS {
            let refused = MemoryPlan::divide(MemorySize::from_mib(1), slots, fraction);
            let Err(MemoryPlanError::TooSmall { least, .. }) = refused else {
                panic!("1 mb was accepted for {slots} slots: {refused:?}");
            };
            MemoryPlan::divide(least, slots, fraction).unwrap();
            let below = MemorySize::from_bytes(least.bytes() - MIB);
            assert!(MemoryPlan::divide(below, slots, fraction).is_err(), "{slots} {fraction}");
        }
    }
}

#[test]
fn a_refusal_names_the_number_that_is_needed() {
    let error = MemoryPlan::divide(MemorySize::from_mib(100), 2, 0.1).unwrap_err();
    assert_eq!(
        error.to_string(),
        "taskmanager.memory.process.size is 100 mb, too little for 2 slots: at least 104 mb are \
         needed; raise it or lower taskmanager.numberOfTaskSlots"
    );
}

#[test]
fn slots_and_fractions_outside_their_bounds_are_refused() {
    for (slots, fraction) in [(0, 0.1), (1025, 0.1), (1, 0.0), (1, 0.9), (1, f64::NAN)] {
        let result = MemoryPlan::divide(MemorySize::from_mib(1 << 20), slots, fraction);
        assert!(matches!(result, Err(MemoryPlanError::OutOfBounds { .. })), "{slots} {fraction}");
    }
}

#[test]
fn the_default_configuration_can_be_divided() {
    let plan = MemoryPlan::of(&Configuration::new()).unwrap();
    assert_eq!(plan, MemoryPlan::divide(MemorySize::from_mib(1024), 1, 0.1).unwrap());
}
