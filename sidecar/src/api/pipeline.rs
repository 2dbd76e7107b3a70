//! The middleware pipelines of the Configuration, around the HTTP API and around
//! calls into the app.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::extract::Request;
use axum::response::Response;

use super::middleware::Middleware;

pub(crate) type Answer<'a, E> = Pin<Box<dyn Future<Output = Result<Response, E>> + Send + 'a>>;
/// What stands behind the last handler.
pub(crate) type Last<'a, E> = dyn Fn(Request) -> Answer<'a, E> + Sync + 'a;

/// An ordered chain, outermost first. Replaced as a whole when its components
/// are reloaded; calls under way keep the chain they began with.
#[derive(Clone, Default)]
pub(crate) struct Pipeline(Arc<ArcSwap<Vec<Arc<Middleware>>>>);

impl Pipeline {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load().is_empty()
    }

    pub(crate) fn replace(&self, handlers: Vec<Arc<Middleware>>) {
        self.0.store(Arc::new(handlers));
    }

    pub(crate) async fn run<'a, E: Send + 'a>(
        &self,
        req: Request,
        last: &Last<'a, E>,
    ) -> Result<Response, E> {
        let handlers = self.0.load_full();
        Next {
            handlers: &handlers,
            last,
        }
        .run(req)
        .await
    }
}

/// The rest of the chain.
pub(crate) struct Next<'s, 'a, E> {
    handlers: &'s [Arc<Middleware>],
    last: &'s Last<'a, E>,
}

impl<'s, 'a: 's, E: Send + 'a> Next<'s, 'a, E> {
    pub(crate) fn run(self, req: Request) -> Answer<'s, E> {
        match self.handlers.split_first() {
            None => (self.last)(req),
            Some((first, rest)) => {
                let next = Next {
                    handlers: rest,
                    last: self.last,
                };
                Box::pin(first.handle(req, next))
            }
        }
    }
}
