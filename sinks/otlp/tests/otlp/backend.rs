//! A server that takes OTLP over gRPC and hands on what it got.

use opentelemetry_proto::tonic::collector::logs::v1::logs_service_server::{LogsService, LogsServiceServer};
use opentelemetry_proto::tonic::collector::logs::v1::{ExportLogsServiceRequest, ExportLogsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request, Response, Status};

#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) traces: mpsc::Sender<ExportTraceServiceRequest>,
    pub(crate) logs: mpsc::Sender<ExportLogsServiceRequest>,
    /// With what it refuses traces.
    pub(crate) refuses: Option<Code>,
}

#[tonic::async_trait]
impl TraceService for Backend {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        if let Some(code) = self.refuses {
            return Err(Status::new(code, "no"));
        }
        self.traces.send(request.into_inner()).await.unwrap();
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl LogsService for Backend {
    async fn export(
        &self,
        request: Request<ExportLogsServiceRequest>,
    ) -> Result<Response<ExportLogsServiceResponse>, Status> {
        self.logs.send(request.into_inner()).await.unwrap();
        Ok(Response::new(ExportLogsServiceResponse::default()))
    }
}

impl Backend {
    /// Serves on a free port of this host until it is aborted.
    pub(crate) async fn serve(self, mut server: Server) -> (u16, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = server
            .add_service(TraceServiceServer::new(self.clone()))
            .add_service(LogsServiceServer::new(self));
        let incoming = TcpIncoming::from(listener);
        let serving = tokio::spawn(async move { router.serve_with_incoming(incoming).await.unwrap() });
        (port, serving)
    }
}
