//! How the processes of an application know each other.

use super::option_group;
use crate::configuration::ConfigOption;

option_group! {
    "Security";

    /// Whether processes of an application show each other certificates.
    INTERNAL_ENABLED: bool = ConfigOption::new(
        "security.ssl.internal.enabled",
        || false,
        "Whether JobManagers and TaskManagers talk by mutual TLS: RPC, the records between \
         TaskManagers, and requests that a JobManager passes on. All processes of an application \
         must agree. REST then takes TLS at the same port too, and a request that changes \
         something only by mutual TLS of the operator or from the JobManager's own machine. The \
         operator sets it; see docs/security.md.",
    );

    /// Where the certificate is.
    INTERNAL_DIRECTORY: Option<String> = ConfigOption::new(
        "security.ssl.internal.directory",
        || None,
        "The folder with the process's key and certificate and the CAs that it believes, as a \
         mounted Secret of the type kubernetes.io/tls has them: `tls.key`, `tls.crt` and `ca.crt`, \
         which may hold two CAs. The certificate names its owner by the URI \
         `thalweg://<namespace>/<application uid>/<jobmanager or taskmanager>`; the addresses of \
         hosts don't count. The files are read again when they change.",
    );
}
