//! What a server says about itself, by the header `Server` of its answers. Not here: what follows
//! from it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_s3::config::interceptors::BeforeDeserializationInterceptorContextRef;
use aws_sdk_s3::config::{ConfigBag, Intercept, RuntimeComponents};
use aws_sdk_s3::error::BoxError;

/// The server of a client. Clones are the same one.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    seen: Arc<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    an_answer: AtomicBool,
    minio: AtomicBool,
}

impl Server {
    /// Whether it is MinIO; none before its first answer. One answer is enough: those of a proxy
    /// before it may be headed otherwise.
    pub(super) fn is_minio(&self) -> Option<bool> {
        let answered = self.seen.an_answer.load(Ordering::Acquire);
        answered.then(|| self.seen.minio.load(Ordering::Acquire))
    }

    fn note(&self, header: Option<&str>) {
        let begin = header.and_then(|header| header.get(.."minio".len()));
        if begin.is_some_and(|begin| begin.eq_ignore_ascii_case("minio")) {
            self.seen.minio.store(true, Ordering::Release);
        }
        self.seen.an_answer.store(true, Ordering::Release);
    }
}

impl Intercept for Server {
    fn name(&self) -> &'static str {
        "Server"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _components: &RuntimeComponents,
        _config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        self.note(context.response().headers().get("server"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_any_of_its_answers() {
        let server = Server::default();
        assert_eq!(server.is_minio(), None);
        for (header, is_minio) in [
            (None, false),
            (Some("AmazonS3"), false),
            (Some("nginx"), false),
            (Some("MinIO/RELEASE.2025-01-01T00-00-00Z"), true),
            (Some("nginx"), true),
        ] {
            server.note(header);
            assert_eq!(server.is_minio(), Some(is_minio), "{header:?}");
        }
    }
}
