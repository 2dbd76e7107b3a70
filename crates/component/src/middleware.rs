//! HTTP middleware as data: a component sees the head of a request, says what to
//! change or answers itself, and never touches the server.

use std::net::IpAddr;

use async_trait::async_trait;
use bytes::Bytes;

/// One step of a pipeline.
#[async_trait]
pub trait HttpMiddleware: Send + Sync + 'static {
    async fn request(&self, req: Request<'_>) -> Decision;

    /// Whether `request` needs the body. It is then buffered up to the body limit.
    fn reads_body(&self) -> bool {
        false
    }

    /// Changes the request's body, piece by piece. `None` leaves it alone.
    fn request_body(&self) -> Option<Transform> {
        None
    }

    /// Changes the response's body, piece by piece. `None` leaves it alone.
    fn response_body(&self) -> Option<Transform> {
        None
    }
}

/// Maps a piece of a body; it must not depend on where the pieces are cut.
pub type Transform = fn(Bytes) -> Bytes;

/// Header names are in lower case, in the order of the request.
pub type Headers = Vec<(String, String)>;

/// The head of a request.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    pub method: &'a str,
    pub scheme: &'a str,
    /// As received, percent signs included.
    pub path: &'a str,
    /// Without the question mark.
    pub query: &'a str,
    pub headers: &'a [(String, String)],
    pub remote: Option<IpAddr>,
    /// Given when the middleware reads bodies.
    pub body: Option<&'a Bytes>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Go on, with these changes.
    Next(Changes),
    /// Answer now.
    Answer(Answer),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Another path.
    pub path: Option<String>,
    /// Another query.
    pub query: Option<String>,
    /// Set on the request.
    pub request_headers: Headers,
    /// Set on the response.
    pub response_headers: Headers,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub headers: Headers,
    pub body: Bytes,
}
