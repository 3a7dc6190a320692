//! The benchmarks run, each to its end, and give figures. How large these are isn't tested.

use std::process::Command;

#[test]
fn every_benchmark_gives_figures() {
    let output = Command::new(env!("CARGO_BIN_EXE_thalweg-benchmarks"))
        .args(["all", "--quick"])
        .output()
        .expect("the benchmarks can be started");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let figures = text.lines().skip(2).map(|row| {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let figure: f64 = cells[2].split(' ').next().unwrap().parse().expect(row);
        (cells[1].to_owned(), figure)
    });
    let figures: Vec<_> = figures.collect();
    // A slope may be negative, everything else is more than nothing.
    let wrong = figures.iter().find(|(what, figure)| *figure <= 0.0 && !what.contains("slope"));
    assert_eq!(wrong, None, "{text}");
    assert_eq!(figures.len(), 13, "{text}{errors}");
    assert!(errors.contains("checkpoints of"), "{errors}");
}
