use std::fmt;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a component reports. The kind is the decision a caller can take, the
/// message says what failed and what to do; it never holds a secret.
#[derive(Debug)]
pub struct Error {
    pub kind: ErrorKind,
    pub message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    NotFound,
    /// The component's metadata cannot be used.
    InvalidConfig,
    InvalidRequest,
    /// The given ETag is not the stored one.
    EtagMismatch,
    /// The given ETag can never be one of this store.
    EtagInvalid,
    Conflict,
    Unauthorized,
    RateLimited,
    Unavailable,
    Unsupported,
    Internal,
}

impl Error {
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            source: None,
        }
    }

    pub fn config(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidConfig, message)
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::InvalidRequest, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Unavailable, message)
    }

    /// For an optional ability that the component's `features()` do not list.
    pub fn unsupported(what: &str) -> Self {
        Self::new(
            ErrorKind::Unsupported,
            format!("{what} is not supported by this component"),
        )
    }

    /// Upstream's text for a mismatch starts with a fixed phrase that clients match on.
    pub fn etag_mismatch(cause: impl fmt::Display) -> Self {
        let message = format!("possible etag mismatch. error from state store: {cause}");
        Self::new(ErrorKind::EtagMismatch, message)
    }

    pub fn etag_invalid(cause: impl fmt::Display) -> Self {
        Self::new(
            ErrorKind::EtagInvalid,
            format!("invalid etag value: {cause}"),
        )
    }

    #[must_use]
    pub fn with_source(
        mut self,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether the same call may succeed when it is made again.
    pub fn is_retriable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Unavailable | ErrorKind::RateLimited | ErrorKind::Internal
        )
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.as_deref().map(|e| e as _)
    }
}
