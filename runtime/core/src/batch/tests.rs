//! The batch against a plain vector of rows.

use proptest::prelude::*;

use super::*;

fn batch(rows: &[(u32, String, i64)], from: usize) -> Batch {
    let values = rows.iter().map(|(n, s, _)| (*n, s.clone())).collect();
    let mut batch = Batch::new::<(u32, String)>(
        values,
        Columns::timestamped(rows.iter().map(|r| r.2).collect()),
    );
    let taken: Vec<_> = batch.rows::<(u32, String)>().unwrap().take(from).collect();
    assert_eq!(taken.len(), from);
    batch
}

fn read(mut batch: Batch) -> Vec<(u32, String, i64)> {
    let rows = batch.rows::<(u32, String)>().unwrap();
    rows.map(|r| (r.value.0, r.value.1, r.timestamp.unwrap())).collect()
}

proptest! {
    #[test]
    fn a_batch_behaves_as_the_vector_of_its_rows(
        rows in prop::collection::vec((any::<u32>(), ".{0,5}", any::<i64>()), 1..40),
        cut in 0usize..40, parts in 1u32..5, shared: bool,
    ) {
        let cut = cut.min(rows.len());
        let mut subject = batch(&rows, cut);
        let other = subject.clone();
        if !shared { drop(other.clone()); }
        prop_assert_eq!(read(subject.clone()), &rows[cut..]);

        let mut bytes = Vec::new();
        subject.encode(&mut bytes);
        let row_type = RowType::of::<(u32, String)>();
        prop_assert_eq!(read(row_type.decode(&bytes).unwrap()), &rows[cut..]);
        for end in 0..bytes.len() {
            prop_assert!(row_type.decode(&bytes[..end]).is_err());
        }

        let destinations: Vec<u32> = rows[cut..].iter().map(|r| r.0 % parts).collect();
        let mut scatter = row_type.scatter(parts as usize);
        subject.clone().scatter(scatter.as_mut(), &destinations).unwrap();
        for part in 0..parts {
            let expected: Vec<_> =
                rows[cut..].iter().filter(|r| r.0 % parts == part).cloned().collect();
            let actual = scatter.take(part as usize).map(read).unwrap_or_default();
            prop_assert_eq!(actual, expected);
        }

        subject.append(batch(&rows, 0)).unwrap();
        prop_assert_eq!(read(subject), [&rows[cut..], &rows[..]].concat());
        prop_assert_eq!(read(other), &rows[cut..]);
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes: Vec<u8>) {
        let _ = RowType::of::<(u32, String)>().decode(&bytes);
        let _ = RowType::of::<Vec<u64>>().decode(&bytes);
    }
}

#[test]
fn a_batch_of_another_type_is_an_error_that_names_both() {
    let mut batch = Batch::from_values(vec![1u64]);
    let error = batch.rows::<String>().unwrap_err().to_string();
    assert!(error.contains("u64") && error.contains("String"), "{error}");
    assert!(batch.append(Batch::from_values(vec![String::new()])).is_err());
}
