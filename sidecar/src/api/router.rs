//! Which handler answers a request of the HTTP API, found without a copy of anything.

use std::borrow::Cow;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::header::ALLOW;
use http::{HeaderValue, Method, StatusCode};

use super::error::plain_error;
use super::path;

/// As many parameters as a route has at most.
const MOST_PARAMS: usize = 4;

/// A request, with the parameters of the route that it took.
pub(crate) struct Call {
    pub(crate) req: Request,
    names: Arc<[String]>,
    /// Where the values are in the path.
    values: [Range<usize>; MOST_PARAMS],
}

impl Call {
    /// A parameter of the route, decoded. A bad escape is answered in plain text.
    #[allow(clippy::result_large_err)] // the error is the answer, and comes once per request
    pub(crate) fn param(&self, name: &str) -> Result<Cow<'_, str>, Response> {
        let index = self.names.iter().position(|n| n == name);
        let value = index.and_then(|i| self.req.uri().path().get(self.values[i].clone()));
        path::decode(value.unwrap_or_default()).map_err(|escape| {
            let text = format!("failed to unescape request parameter \"{name}\". Error: invalid URL escape \"{escape}\"");
            plain_error(StatusCode::BAD_REQUEST, &text)
        })
    }

    /// The names of the route's parameters.
    pub(crate) fn names(&self) -> &[String] {
        &self.names
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.req.uri().query()
    }
}

pub(crate) type Answer = Pin<Box<dyn Future<Output = Response> + Send>>;
type Handler = Arc<dyn Fn(Call) -> Answer + Send + Sync>;

/// What answers each verb of one path. HEAD is a verb of its own.
#[derive(Default)]
pub(crate) struct Verbs(Vec<(Method, Handler)>);

impl Verbs {
    fn of(&self, method: &Method) -> Option<&Handler> {
        let mut verbs = self.0.iter();
        verbs.find(|(m, _)| m == method).map(|(_, handler)| handler)
    }

    fn allowed(&self) -> HeaderValue {
        let names: Vec<&str> = self.0.iter().map(|(m, _)| m.as_str()).collect();
        HeaderValue::from_str(&names.join(",")).unwrap_or(HeaderValue::from_static(""))
    }
}

/// An `async fn(Arc<S>, Call)` whose result is an answer.
pub(crate) trait Handle<S>: Send + Sync + 'static {
    fn answer(&self, state: Arc<S>, call: Call) -> Answer;
}

impl<S, H, F> Handle<S> for H
where
    H: Fn(Arc<S>, Call) -> F + Send + Sync + 'static,
    F: Future<Output: IntoResponse> + Send + 'static,
{
    fn answer(&self, state: Arc<S>, call: Call) -> Answer {
        let answer = self(state, call);
        Box::pin(async move { answer.await.into_response() })
    }
}

/// Handlers that share a state.
pub(crate) struct On<S> {
    state: Arc<S>,
    verbs: Verbs,
}

/// Begins the verbs of a path.
pub(crate) fn on<S>(state: &Arc<S>) -> On<S> {
    On {
        state: state.clone(),
        verbs: Verbs::default(),
    }
}

impl<S: Send + Sync + 'static> On<S> {
    pub(crate) fn get(self, handler: impl Handle<S>) -> Self {
        self.verbs([Method::GET], handler)
    }

    pub(crate) fn post(self, handler: impl Handle<S>) -> Self {
        self.verbs([Method::POST], handler)
    }

    pub(crate) fn put(self, handler: impl Handle<S>) -> Self {
        self.verbs([Method::PUT], handler)
    }

    /// POST and PUT, which most writing routes take alike.
    pub(crate) fn write(self, handler: impl Handle<S>) -> Self {
        self.verbs([Method::POST, Method::PUT], handler)
    }

    pub(crate) fn delete(self, handler: impl Handle<S>) -> Self {
        self.verbs([Method::DELETE], handler)
    }

    fn verbs<const N: usize>(mut self, methods: [Method; N], handler: impl Handle<S>) -> Self {
        let state = self.state.clone();
        let handler: Handler = Arc::new(move |call| handler.answer(state.clone(), call));
        let verbs = methods.into_iter().map(|method| (method, handler.clone()));
        self.verbs.0.extend(verbs);
        self
    }
}

impl<S> From<On<S>> for Verbs {
    fn from(on: On<S>) -> Self {
        on.verbs
    }
}

/// Takes what no route took.
pub(crate) type Fallback = Box<dyn Fn(Request) -> Answer + Send + Sync>;

struct Route {
    names: Arc<[String]>,
    verbs: Verbs,
}

/// The routes of a server. They match on the escaped path.
#[derive(Default)]
pub(crate) struct Router {
    routes: matchit::Router<Route>,
    fallback: Option<Fallback>,
}

impl Router {
    /// Without a fallback, 404 and 405 answer what no route takes.
    pub(crate) fn new(fallback: Option<Fallback>) -> Self {
        Self {
            routes: matchit::Router::new(),
            fallback,
        }
    }

    /// Panics where two routes are the same, which every start would show.
    pub(crate) fn add(&mut self, path: &str, verbs: Verbs) {
        let names: Arc<[String]> = path
            .split('/')
            .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
            .map(|name| name.trim_start_matches('*').to_owned())
            .collect();
        assert!(names.len() <= MOST_PARAMS, "{path} has too many parameters");
        let added = self.routes.insert(path, Route { names, verbs });
        added.unwrap_or_else(|e| panic!("route {path}: {e}"));
    }

    pub(crate) fn call(&self, req: Request) -> Answer {
        let Ok(found) = self.routes.at(req.uri().path()) else {
            return match &self.fallback {
                Some(fallback) => fallback(req),
                None => refuse(plain_error(StatusCode::NOT_FOUND, "404 page not found")),
            };
        };
        let Route { names, verbs } = found.value;
        let Some(handler) = verbs.of(req.method()) else {
            return match &self.fallback {
                Some(fallback) => fallback(req),
                None => refuse(
                    (StatusCode::METHOD_NOT_ALLOWED, [(ALLOW, verbs.allowed())]).into_response(),
                ),
            };
        };
        let start = req.uri().path().as_ptr().addr();
        let mut values: [Range<usize>; MOST_PARAMS] = Default::default();
        for (place, (_, value)) in values.iter_mut().zip(found.params.iter()) {
            let at = value.as_ptr().addr() - start;
            *place = at..at + value.len();
        }
        let names = names.clone();
        handler(Call { req, names, values })
    }
}

fn refuse(answer: Response) -> Answer {
    Box::pin(std::future::ready(answer))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http_body_util::BodyExt;

    use super::*;

    async fn all(_: Arc<()>, call: Call) -> Result<String, Response> {
        let mut out = call.req.method().to_string();
        for name in call.names() {
            out = format!("{out} {name}={}", call.param(name)?);
        }
        Ok(out)
    }

    fn router(fallback: Option<Fallback>) -> Router {
        let mut router = Router::new(fallback);
        let state = Arc::default();
        router.add("/a/{one}", on(&state).get(all).delete(all).into());
        router.add("/a/{one}/x/{two}", on(&state).write(all).into());
        router.add("/rest/{*all}", on(&state).get(all).into());
        router
    }

    async fn check(router: &Router, line: &str, status: u16, expected: &str) -> Response {
        let (verb, path) = line.split_once(' ').unwrap();
        let req = Request::builder().method(verb).uri(path);
        let response = router.call(req.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status().as_u16(), status, "{line}");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        assert_eq!(String::from_utf8_lossy(&body), expected, "{line}");
        Response::from_parts(parts, Body::empty())
    }

    #[tokio::test]
    async fn a_route_gives_its_parameters_decoded() {
        let router = router(None);
        for (line, status, expected) in [
            ("GET /a/b", 200, "GET one=b"),
            ("DELETE /a/%2F%7C", 200, "DELETE one=/|"),
            ("PUT /a/b+c/x/d", 200, "PUT one=b c two=d"),
            ("POST /a/b/x/d", 200, "POST one=b two=d"),
            ("GET /rest/a/b", 200, "GET all=a/b"),
        ] {
            check(&router, line, status, expected).await;
        }
        let text =
            "failed to unescape request parameter \"one\". Error: invalid URL escape \"%zz\"\n";
        check(&router, "GET /a/%zz", 400, text).await;
    }

    #[tokio::test]
    async fn what_no_route_takes_goes_to_the_fallback() {
        let to = |req: Request| -> Answer {
            Box::pin(async move { format!("else {}", req.uri()).into_response() })
        };
        let (with, without) = (router(Some(Box::new(to))), router(None));
        for (line, status, text) in [
            ("GET /b", 404, "404 page not found\n"),
            ("PUT /a/b", 405, ""),
            ("HEAD /a/b", 405, ""),
            ("OPTIONS /a/b", 405, ""),
        ] {
            let path = line.split_once(' ').unwrap().1;
            check(&with, line, 200, &format!("else {path}")).await;
            check(&without, line, status, text).await;
        }
        let refused = check(&without, "PUT /a/b", 405, "").await;
        assert_eq!(refused.headers()[ALLOW], "GET,DELETE");
    }
}
