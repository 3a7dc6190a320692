//! Every strategy's choices against what the strategy promises.

use proptest::prelude::*;
use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::key_group::{key_group, key_group_range};

use super::*;
use crate::testing::rows;

fn choose(partitioner: &mut Partitioner, rows_count: u64, channels: usize) -> (Batch, Vec<u32>) {
    let mut batch = rows(0, 0, rows_count);
    let mut destinations = vec![7; 3];
    partitioner.partition(&mut batch, channels, &mut destinations).unwrap();
    (batch, destinations)
}

fn counts(chosen: &[u32], channels: usize) -> Vec<usize> {
    (0..channels).map(|c| chosen.iter().filter(|chosen| **chosen as usize == c).count()).collect()
}

/// Hashes of which all bits that choose a key group vary with the row.
struct Spreading;

fn spread_hash(n: u64) -> u64 {
    n.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl KeyHasher for Spreading {
    fn hash(&self, batch: &Batch) -> Result<Vec<u64>, RowTypeMismatch> {
        Ok(batch.values::<(u32, u64)>()?.iter().map(|row| spread_hash(row.1)).collect())
    }
}

struct Fixed(Vec<u32>);

impl CustomPartitioner for Fixed {
    fn partition(
        &mut self,
        _batch: &Batch,
        _channels: u32,
        destinations: &mut Vec<u32>,
    ) -> Result<(), RowTypeMismatch> {
        destinations.extend(&self.0);
        Ok(())
    }
}

proptest! {
    #[test]
    fn rebalance_never_gives_a_channel_two_rows_more_than_another(
        batches in prop::collection::vec(0u64..20, 1..30),
        channels in 2usize..9,
        subtask in 0u32..20,
    ) {
        for rescale in [false, true] {
            let turns = RebalancePartitioner::new(subtask);
            let mut partitioner = match rescale {
                false => Partitioner::Rebalance(turns),
                true => Partitioner::Rescale(turns),
            };
            let mut all = Vec::new();
            for rows in &batches {
                let (_, chosen) = choose(&mut partitioner, *rows, channels);
                prop_assert_eq!(chosen.len() as u64, *rows);
                all.extend(chosen);
                let counts = counts(&all, channels);
                prop_assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= 1);
            }
        }
    }

    #[test]
    fn hash_sends_each_row_to_the_owner_of_its_key_group_and_leaves_the_hash_on_it(
        max_parallelism in 1u32..300, parallelism in 2u32..20, rows in 0u64..200,
    ) {
        let hash = HashPartitioner::new(Box::new(Spreading), max_parallelism, parallelism);
        let mut partitioner = Partitioner::Hash(hash);
        let (batch, chosen) = choose(&mut partitioner, rows, parallelism as usize);
        prop_assert_eq!(chosen.len() as u64, rows);
        for (n, channel) in chosen.iter().enumerate() {
            let hash = spread_hash(n as u64);
            prop_assert_eq!(batch.hashes().unwrap()[n], hash);
            let owned = key_group_range(max_parallelism, parallelism, *channel);
            prop_assert!(owned.contains(key_group(hash, max_parallelism)));
        }
    }
}

#[test]
fn shuffle_is_even_and_repeats_itself_exactly_but_not_for_another_subtask() {
    let sequence = |subtask| {
        let mut partitioner = Partitioner::Shuffle(ShufflePartitioner::new(42, subtask));
        let (_, mut first) = choose(&mut partitioner, 30_000, 7);
        first.extend(choose(&mut partitioner, 40_000, 7).1);
        first
    };
    let chosen = sequence(0);
    assert_eq!(chosen, sequence(0));
    assert_ne!(chosen, sequence(1));
    for count in counts(&chosen, 7) {
        assert!((9_500..10_500).contains(&count), "{count}");
    }
}

#[test]
fn what_is_not_split_gets_no_choices_but_hashes_all_the_same() {
    for mut partitioner in [Partitioner::Forward, Partitioner::Global, Partitioner::Broadcast] {
        assert_eq!(choose(&mut partitioner, 5, 1).1, []);
    }
    assert_eq!(choose(&mut Partitioner::Broadcast, 5, 3).1, []);
    let mut hash = Partitioner::Hash(HashPartitioner::new(Box::new(Spreading), 128, 1));
    let (batch, chosen) = choose(&mut hash, 5, 1);
    assert_eq!((batch.hashes().map(<[u64]>::len), chosen.len()), (Some(5), 0));
}

#[test]
fn a_custom_choice_is_checked() {
    let partition = |choices: &[u32]| {
        let mut partitioner = Partitioner::Custom(Box::new(Fixed(choices.to_vec())));
        let mut chosen = Vec::new();
        partitioner.partition(&mut rows(0, 0, 3), 3, &mut chosen).map(|()| chosen)
    };
    assert_eq!(partition(&[2, 0, 1]), Ok(vec![2, 0, 1]));
    assert_eq!(partition(&[2, 3, 1]), Err(NetworkError::NoSuchChannel { chosen: 3, channels: 3 }));
    let too_few = NetworkError::ResultCount { what: "custom partitioner", results: 2, rows: 3 };
    assert_eq!(partition(&[0, 0]), Err(too_few));
}

#[test]
fn a_number_of_channels_that_cannot_be_is_refused() {
    let hash = |parallelism| {
        Partitioner::Hash(HashPartitioner::new(Box::new(Spreading), 128, parallelism))
    };
    let table = [
        (Partitioner::Forward, 2, false),
        (Partitioner::Forward, 1, true),
        (Partitioner::Global, 2, false),
        (Partitioner::Broadcast, 0, false),
        (Partitioner::Broadcast, 4, true),
        (hash(3), 4, false),
        (hash(3), 3, true),
        (Partitioner::Rebalance(RebalancePartitioner::new(0)), 0, false),
    ];
    for (partitioner, channels, fits) in table {
        assert_eq!(partitioner.check(channels).is_ok(), fits, "{partitioner:?} {channels}");
    }
}
