//! The server's threads, and the faults before it.

use std::io;
use std::net::TcpListener;

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use http_body_util::{BodyExt, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::Body;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s_fs::FileSystem;

use super::{Asked, Fault, KEY_ID, S3, SECRET};

pub(super) fn start(server: S3, listener: TcpListener) {
    let files = FileSystem::new(server.0.dir.path()).expect("the server's folder");
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(KEY_ID, SECRET));
    let service = builder.build();
    listener.set_nonblocking(true).expect("a listener");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(accept(server, service, listener));
    });
}

async fn accept(server: S3, service: S3Service, listener: TcpListener) {
    let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
    while let Ok((socket, _)) = listener.accept().await {
        let (server, service) = (server.clone(), service.clone());
        tokio::spawn(async move {
            let answer = service_fn(|request| answer(server.clone(), service.clone(), request));
            let builder = Builder::new(TokioExecutor::new());
            // A fault ends the connection: that is what it is for.
            let _ = builder.serve_connection(TokioIo::new(socket), answer).await;
        });
    }
}

async fn answer(
    server: S3,
    service: S3Service,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let fault = {
        let mut all = server.0.asked.lock().unwrap();
        let asked = Asked {
            method: request.method().to_string(),
            path: request.uri().path().to_owned(),
            query: request.uri().query().unwrap_or_default().to_owned(),
            number: all.len(),
        };
        all.push(asked.clone());
        drop(all);
        server.0.rule.lock().unwrap().as_mut().and_then(|rule| rule(&asked))
    };
    let request = request.map(Body::from);
    let broken = || io::Error::from(io::ErrorKind::ConnectionReset);
    match fault {
        None => {}
        Some(Fault::Status(status)) => {
            // Read to its end, so that the client hears the answer and not a closed door.
            let _ = BodyExt::collect(request.into_body()).await;
            return Ok(refusal(status));
        }
        Some(Fault::Reset) => return Err(broken()),
        Some(Fault::Stall(pause)) => tokio::time::sleep(pause).await,
        Some(Fault::LoseAnswer) => {
            let done = service.call(request).await;
            // Some answers are only worked out while they are sent.
            if let Ok(response) = done {
                let _ = BodyExt::collect(response.into_body()).await;
            }
            return Err(broken());
        }
        Some(Fault::CutBody) => {
            let response =
                service.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))?;
            return Ok(cut(response).await);
        }
    }
    service.call(request).await.map_err(|error| io::Error::other(format!("{error:?}")))
}

fn refusal(status: u16) -> Response<Body> {
    let code = match status {
        503 => "SlowDown",
        403 => "AccessDenied",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>A fault of the test.</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    response
}

/// The first half of the body, and then the connection is gone. The length still promises all of it.
async fn cut(response: Response<Body>) -> Response<Body> {
    let (parts, body) = response.into_parts();
    let whole = BodyExt::collect(body).await.map(|body| body.to_bytes()).unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let frames = stream::iter([Ok(Frame::data(half))]).chain(stream::once(async {
        // So that the half has gone out before the end does.
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        Err::<Frame<Bytes>, _>(io::Error::from(io::ErrorKind::ConnectionReset))
    }));
    Response::from_parts(parts, Body::http_body_unsync(StreamBody::new(frames)))
}
