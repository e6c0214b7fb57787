//! One path with its methods; everything else on that path is a 405 that says what is allowed.

use actix_web::http::Method;
use actix_web::{FromRequest, Handler, Responder, Route, web};

use super::known::check_query;
use super::problem::Problem;

/// One path with its methods.
pub(crate) struct Endpoint {
    /// The path pattern.
    pub(crate) path: &'static str,
    routes: Vec<(Method, Route)>,
}

impl Endpoint {
    /// A path without methods.
    pub(crate) fn new(path: &'static str) -> Self {
        Self {
            path,
            routes: Vec::new(),
        }
    }

    /// A path with GET (and HEAD).
    pub(crate) fn get<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(path).on(Method::GET, handler)
    }

    /// A path with POST.
    pub(crate) fn post<F, Args>(path: &'static str, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        Self::new(path).on(Method::POST, handler)
    }

    /// The same path with one more method; GET brings HEAD along.
    pub(crate) fn on<F, Args>(mut self, method: Method, handler: F) -> Self
    where
        F: Handler<Args> + Clone,
        Args: FromRequest + 'static,
        F::Output: Responder + 'static,
    {
        if method == Method::GET {
            self.routes
                .push((Method::HEAD, web::method(Method::HEAD).to(handler.clone())));
        }
        self.routes.push((method.clone(), web::method(method).to(handler)));
        self
    }

    /// The methods, without the HEAD that every GET brings along.
    #[cfg(test)]
    pub(crate) fn methods(&self) -> Vec<&Method> {
        self.routes
            .iter()
            .map(|(method, _)| method)
            .filter(|method| **method != Method::HEAD)
            .collect()
    }

    /// Makes the path known to a listener.
    pub(crate) fn register(self, config: &mut web::ServiceConfig) {
        let allow = self
            .routes
            .iter()
            .map(|(method, _)| method.as_str())
            .collect::<Vec<_>>()
            .join(", ");
        let mut resource = web::resource(self.path);
        for (_, route) in self.routes {
            resource = resource.route(route);
        }
        let not_allowed = move || {
            let problem = Problem::method_not_allowed(allow.clone());
            std::future::ready(Err::<actix_web::HttpResponse, Problem>(problem))
        };
        let resource = resource.default_service(web::to(not_allowed));
        config.service(resource.wrap(actix_web::middleware::from_fn(check_query)));
    }
}
