//! Versions of operator and JobManager that go together: operator N drives runtimes N-1 to N+1,
//! where N is the minor version as long as the major one is the same.

/// Whether an operator and a JobManager go together; None if a version can't be read.
pub(super) fn go_together(operator: &str, job_manager: &str) -> Option<bool> {
    let (own, other) = (version(operator)?, version(job_manager)?);
    Some(own.0 == other.0 && own.1.abs_diff(other.1) <= 1)
}

fn version(text: &str) -> Option<(u64, u64)> {
    let mut parts = text.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_operator_drives_runtimes_of_its_minor_version_and_the_ones_beside_it() {
        for (operator, job_manager, expected) in [
            ("0.2.0", "0.2.7", Some(true)),
            ("0.2.0", "0.1.0", Some(true)),
            ("0.2.0", "0.3.1-rc.1", Some(true)),
            ("0.2.0", "0.4.0", Some(false)),
            ("0.2.0", "1.2.0", Some(false)),
            ("0.2.0", "", None),
            ("0.2.0", "main", None),
        ] {
            assert_eq!(go_together(operator, job_manager), expected, "{operator} {job_manager}");
        }
    }
}
