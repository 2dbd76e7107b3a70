//! Cross-origin requests, when `--allowed-origins` is given.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderValue, Method, StatusCode};

const METHODS: [&str; 6] = ["HEAD", "GET", "POST", "PUT", "PATCH", "DELETE"];

/// Which origins a browser may call from; all headers are allowed.
#[derive(Clone, Debug)]
pub(crate) struct Cors {
    any: bool,
    origins: Vec<String>,
}

/// The header that an answer to an allowed origin carries.
pub(crate) struct Allowed(HeaderValue);

impl Cors {
    /// `None` for an empty list: CORS is off.
    pub(crate) fn new(list: &str) -> Option<Self> {
        let origins: Vec<String> = list
            .split(',')
            .map(str::trim)
            .filter(|o| !o.is_empty())
            .map(str::to_lowercase)
            .collect();
        (!origins.is_empty()).then(|| Self {
            any: origins.iter().any(|o| o == "*"),
            origins,
        })
    }

    fn allows(&self, origin: &HeaderValue) -> bool {
        self.any
            || origin
                .to_str()
                .is_ok_and(|o| self.origins.contains(&o.to_lowercase()))
    }

    /// A preflight is answered here, before the token is asked for.
    #[allow(clippy::result_large_err)] // the error is the answer, and comes once per request
    pub(crate) fn request(&self, req: &Request) -> Result<Option<Allowed>, Response> {
        let headers = req.headers();
        let origin = headers.get(ORIGIN);
        let allowed = origin
            .filter(|o| self.allows(o))
            .map(|o| Allowed(self.shown(o)));
        let wanted = headers.get(ACCESS_CONTROL_REQUEST_METHOD);
        let (true, Some(wanted)) = (req.method() == Method::OPTIONS, wanted) else {
            return Ok(allowed);
        };
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::NO_CONTENT;
        let known = wanted
            .to_str()
            .is_ok_and(|w| METHODS.contains(&w.to_uppercase().as_str()));
        if let (Some(allowed), true) = (allowed, known) {
            allowed.mark(&mut response);
            let out = response.headers_mut();
            out.insert(ACCESS_CONTROL_ALLOW_METHODS, wanted.clone());
            if let Some(names) = headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
                out.insert(ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
            }
        }
        Err(response)
    }

    fn shown(&self, origin: &HeaderValue) -> HeaderValue {
        if self.any {
            HeaderValue::from_static("*")
        } else {
            origin.clone()
        }
    }
}

impl Allowed {
    pub(crate) fn mark(self, response: &mut Response) {
        response
            .headers_mut()
            .append(VARY, HeaderValue::from_static("Origin"));
        response
            .headers_mut()
            .insert(ACCESS_CONTROL_ALLOW_ORIGIN, self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(list: &str, method: Method, origin: &str, expected: Option<&str>) {
        let preflight = method == Method::OPTIONS;
        let req = Request::builder()
            .method(method)
            .header(ORIGIN, origin)
            .header(ACCESS_CONTROL_REQUEST_METHOD, "PUT")
            .body(Body::empty())
            .unwrap();
        let shown = match Cors::new(list).unwrap().request(&req) {
            Ok(allowed) => allowed.map(|a| a.0),
            Err(response) => response.headers().get(ACCESS_CONTROL_ALLOW_ORIGIN).cloned(),
        };
        assert_eq!(
            shown.as_ref().map(|v| v.to_str().unwrap()),
            expected,
            "{list} {origin} {preflight}"
        );
    }

    #[test]
    fn origins_are_matched() {
        assert!(Cors::new(" , ").is_none());
        check("*", Method::GET, "http://a", Some("*"));
        check(
            "http://a, http://B",
            Method::GET,
            "http://b",
            Some("http://b"),
        );
        check("http://a", Method::GET, "http://evil", None);
        check("http://a", Method::OPTIONS, "http://a", Some("http://a"));
        check("http://a", Method::OPTIONS, "http://evil", None);
    }
}
