//! `middleware.http.uppercase`: upper-cases bodies as they stream.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use component::metadata::Properties;
use http::HeaderMap;
use http::header::CONTENT_LENGTH;
use http_body_util::BodyExt;

pub(crate) struct Uppercase {
    request: bool,
    response: bool,
}

impl Uppercase {
    /// `direction` is read by its exact name; unknown text means `request`.
    pub(super) fn open(properties: &Properties) -> Self {
        let direction = properties.0.get("direction").map(|d| d.to_lowercase());
        let (request, response) = match direction.as_deref() {
            Some("response") => (false, true),
            Some("both") => (true, true),
            _ => (true, false),
        };
        Self { request, response }
    }

    pub(super) fn request(&self, mut req: Request) -> Request {
        if !self.request {
            return req;
        }
        unknown_length(req.headers_mut());
        req.map(upper)
    }

    pub(super) fn response(&self, mut response: Response) -> Response {
        if !self.response {
            return response;
        }
        unknown_length(response.headers_mut());
        response.map(upper)
    }
}

/// Some letters grow when they are upper-cased.
fn unknown_length(headers: &mut HeaderMap) {
    headers.remove(CONTENT_LENGTH);
}

fn upper(body: Body) -> Body {
    Body::new(body.map_frame(|frame| {
        frame.map_data(|data| match std::str::from_utf8(&data) {
            Ok(text) => Bytes::from(text.to_uppercase()),
            Err(_) => Bytes::from(data.to_ascii_uppercase()),
        })
    }))
}
