//! HTTP middleware components (`middleware.http.*`).

mod ratelimit;
mod routeralias;
mod routerchecker;
mod uppercase;

use std::sync::Arc;

use axum::extract::Request;
use axum::response::Response;
use component::metadata::Properties;

use super::pipeline::Next;

pub(crate) enum Middleware {
    RateLimit(ratelimit::RateLimit),
    RouterAlias(routeralias::RouterAlias),
    RouterChecker(routerchecker::RouterChecker),
    Uppercase(uppercase::Uppercase),
}

/// Opens a middleware by the part of its type after `middleware.http.`; `None`
/// for one that is not known.
pub(crate) fn open(
    name: &str,
    version: &str,
    properties: &Properties,
) -> Option<component::Result<Arc<Middleware>>> {
    if !matches!(version, "" | "v0" | "v1") {
        return None;
    }
    let opened = match name {
        "ratelimit" => ratelimit::RateLimit::open(properties).map(Middleware::RateLimit),
        "routeralias" => routeralias::RouterAlias::open(properties).map(Middleware::RouterAlias),
        "routerchecker" => {
            routerchecker::RouterChecker::open(properties).map(Middleware::RouterChecker)
        }
        "uppercase" => Ok(Middleware::Uppercase(uppercase::Uppercase::open(
            properties,
        ))),
        _ => return None,
    };
    Some(opened.map(Arc::new))
}

impl Middleware {
    pub(super) async fn handle<'a, E: Send + 'a>(
        &self,
        req: Request,
        next: Next<'_, 'a, E>,
    ) -> Result<Response, E> {
        match self {
            Self::RateLimit(m) => match m.check(&req) {
                Ok(headers) => Ok(headers.onto(next.run(req).await?)),
                Err(refused) => Ok(*refused),
            },
            Self::RouterAlias(m) => next.run(m.rewrite(req)).await,
            Self::RouterChecker(m) => match m.check(&req) {
                Ok(()) => next.run(req).await,
                Err(refused) => Ok(*refused),
            },
            Self::Uppercase(m) => Ok(m.response(next.run(m.request(req)).await?)),
        }
    }
}
