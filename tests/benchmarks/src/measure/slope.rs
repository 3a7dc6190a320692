//! How fast a figure that is looked at from time to time rises.

/// The slope of the line that fits the points best, in y per x; 0 for fewer than two.
pub(crate) fn slope(points: &[(f64, f64)]) -> f64 {
    let count = points.len().max(1) as f64;
    let mean_x = points.iter().map(|p| p.0).sum::<f64>() / count;
    let mean_y = points.iter().map(|p| p.1).sum::<f64>() / count;
    let covariance: f64 = points.iter().map(|p| (p.0 - mean_x) * (p.1 - mean_y)).sum();
    let variance: f64 = points.iter().map(|p| (p.0 - mean_x).powi(2)).sum();
    if variance > 0.0 { covariance / variance } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_slope_and_what_is_flat_has_none() {
        assert_eq!(slope(&[]), 0.0);
        assert_eq!(slope(&[(1.0, 5.0)]), 0.0);
        assert_eq!(slope(&[(0.0, 7.0), (1.0, 9.0), (2.0, 7.0)]), 0.0);
        let line: Vec<_> = (0..10).map(|x| (f64::from(x), 3.0 - 2.5 * f64::from(x))).collect();
        assert!((slope(&line) + 2.5).abs() < 1e-9);
    }
}
