//! The generator keeps its promises: repeatable, of the size asked for, and it breaks every rule.

use std::path::PathBuf;

use super::*;
use crate::{fraud_detection as fraud, personalisation as shop};

#[test]
fn the_same_options_give_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let mut files = [Vec::new(), Vec::new()];
        FraudDetectionData { rows: 500, accounts: 50, seed }.write(&mut files).unwrap();
        let mut views = [Vec::new()];
        let mut purchases = [Vec::new()];
        PersonalisationData { rows: 500, users: 20, seed }
            .write(&mut views, &mut purchases)
            .unwrap();
        [files[0].clone(), files[1].clone(), views[0].clone(), purchases[0].clone()]
    };
    assert_eq!(bytes(1), bytes(1));
    let pairs = bytes(1).into_iter().zip(bytes(2));
    assert!(pairs.into_iter().all(|(one, two)| one != two));
}

#[test]
fn fraud_detection_data_has_exactly_the_rows_asked_for_and_breaks_each_rule() {
    let folder = tempfile::tempdir().unwrap();
    for files in [1, 3] {
        let path = folder.path().join(format!("{files}"));
        let data = FraudDetectionData { rows: 20_000, accounts: 1_000, seed: 4 };
        data.write_to(&path, files).unwrap();
        let output = fraud::run(&path).unwrap();
        assert_eq!(output.rows, 20_000);
        let counts = output.counts;
        for count in [counts.small_then_large, counts.impossible_travel, counts.burst] {
            assert!((100..5_000).contains(&count), "{counts:?}");
        }
        assert!((100..1_000).contains(&output.late.len()), "{}", output.late.len());
    }
}

#[test]
fn personalisation_data_has_exactly_the_rows_asked_for_and_gives_lines() {
    let folder = tempfile::tempdir().unwrap();
    for files in [1, 3] {
        let views = folder.path().join(format!("views-{files}"));
        let purchases = folder.path().join(format!("purchases-{files}"));
        let data = PersonalisationData { rows: 20_000, users: 300, seed: 4 };
        data.write_to(&views, &purchases, files).unwrap();
        let output = shop::run(&views, &purchases).unwrap();
        assert_eq!(output.views + output.purchases, 20_000);
        assert!(output.purchases > 1_000, "{}", output.purchases);
        assert!(output.sessions.len() > 500, "{}", output.sessions.len());
        assert!(output.recommendations.len() > 1_000, "{}", output.recommendations.len());
        assert!((50..1_000).contains(&output.late_views), "{}", output.late_views);
        assert!(output.late_purchases > 5, "{}", output.late_purchases);
    }
}

#[test]
fn the_smallest_options_work_and_impossible_ones_are_refused() {
    let mut file = [Vec::new()];
    for (rows, accounts) in [(0, 1), (1, 1), (300, 1), (300, 2), (300, 10_000_000)] {
        file[0].clear();
        FraudDetectionData { rows, accounts, seed: 0 }.write(&mut file).unwrap();
        let lines = file[0].iter().filter(|byte| **byte == b'\n').count();
        assert_eq!(lines as u64, rows + 1);
    }
    assert!(FraudDetectionData { rows: 1, accounts: 0, seed: 0 }.write(&mut file).is_err());
    assert!(
        FraudDetectionData { rows: 1, accounts: 1, seed: 0 }.write::<Vec<u8>>(&mut []).is_err()
    );
    for (rows, users) in [(0, 1), (1, 1), (300, 1), (300, 10_000_000)] {
        let (mut views, mut purchases) = ([Vec::new()], [Vec::new()]);
        let data = PersonalisationData { rows, users, seed: 0 };
        data.write(&mut views, &mut purchases).unwrap();
        let lines = views.iter().chain(&purchases).flatten().filter(|byte| **byte == b'\n');
        assert_eq!(lines.count() as u64, rows + 2);
    }
}

fn example_data(application: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples").join(application).join("data")
}

#[test]
fn the_examples_data_of_fraud_detection_is_what_its_readme_says() {
    let data = example_data("fraud-detection");
    let mut made = [Vec::new()];
    FraudDetectionData { rows: 5_000, accounts: 500, seed: 1 }.write(&mut made).unwrap();
    let committed = fs::read(data.join("transactions.csv")).unwrap();
    assert!(made[0] == committed, "run the command in examples/fraud-detection/data/_README.md");
    // The folder holds nothing else that would count as input.
    let output = fraud::run(&data).unwrap();
    let counts = output.counts;
    for lines in
        [counts.small_then_large, counts.impossible_travel, counts.burst, output.late.len()]
    {
        assert!((10..1_000).contains(&lines), "{counts:?}, {} late", output.late.len());
    }
}

#[test]
fn the_examples_data_of_personalisation_is_what_its_readme_says() {
    let data = example_data("personalisation");
    let (mut views, mut purchases) = ([Vec::new()], [Vec::new()]);
    PersonalisationData { rows: 2_500, users: 120, seed: 1 }
        .write(&mut views, &mut purchases)
        .unwrap();
    for (made, name) in [(&views[0], "views.csv"), (&purchases[0], "purchases.csv")] {
        let committed = fs::read(data.join(name)).unwrap();
        assert!(*made == committed, "run the command in examples/personalisation/data/_README.md");
    }
    let output = shop::run(data.join("views.csv"), data.join("purchases.csv")).unwrap();
    assert!((10..1_000).contains(&output.sessions.len()), "{}", output.sessions.len());
    assert!((10..1_000).contains(&output.recommendations.len()));
    assert!(output.late_views >= 10 && output.late_purchases >= 1);
}
