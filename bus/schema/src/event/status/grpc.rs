//! Status codes of gRPC.

use serde::{Deserialize, Serialize};

/// The table of codes: name, number, the HTTP status that stands for it (google.rpc.Code), and whether the server is to blame.
macro_rules! codes {
    ($($(#[$doc:meta])* $code:ident = $number:literal, $name:literal, $http:literal, $is_failure:literal;)+) => {
        /// How a call of gRPC ended.
        ///
        /// A failure is what the conventions of OpenTelemetry call an error of the server's span. The other codes tell a caller
        /// what it did wrong, or that it must wait: a name that is not there is an answer.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
        pub enum GrpcStatus {
            $($(#[$doc])* #[serde(rename = $name)] $code,)+
            /// What the server did not say, or by a code that nobody knows.
            #[default]
            #[serde(rename = "UNKNOWN", other)]
            Unknown,
        }

        impl GrpcStatus {
            /// The one of that number. A code that is not in the table is unknown, as clients have it.
            pub fn from_number(number: u32) -> Self {
                match number {
                    $($number => Self::$code,)+
                    _ => Self::Unknown,
                }
            }

            /// Its number.
            pub fn number(self) -> u32 {
                match self {
                    $(Self::$code => $number,)+
                    Self::Unknown => 2,
                }
            }

            /// As it is written: `UNAVAILABLE`.
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$code => $name,)+
                    Self::Unknown => "UNKNOWN",
                }
            }

            /// The one of that name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($name => Some(Self::$code),)+
                    "UNKNOWN" => Some(Self::Unknown),
                    _ => None,
                }
            }

            /// The HTTP status that stands for it.
            pub fn http(self) -> u16 {
                match self {
                    $(Self::$code => $http,)+
                    Self::Unknown => 500,
                }
            }

            /// Whether it tells of a failure of the server.
            pub fn is_failure(self) -> bool {
                match self {
                    $(Self::$code => $is_failure,)+
                    Self::Unknown => true,
                }
            }
        }
    };
}

codes! {
    /// Success.
    Ok = 0, "OK", 200, false;
    /// Nobody wanted it any more.
    Cancelled = 1, "CANCELLED", 499, false;
    /// The caller asked something impossible.
    InvalidArgument = 3, "INVALID_ARGUMENT", 400, false;
    /// The time was over that its caller gave it.
    DeadlineExceeded = 4, "DEADLINE_EXCEEDED", 504, true;
    /// There is no such thing.
    NotFound = 5, "NOT_FOUND", 404, false;
    /// It is there already.
    AlreadyExists = 6, "ALREADY_EXISTS", 409, false;
    /// The caller may not.
    PermissionDenied = 7, "PERMISSION_DENIED", 403, false;
    /// A quota is used up, or the server wants fewer calls.
    ResourceExhausted = 8, "RESOURCE_EXHAUSTED", 429, false;
    /// Something has to be done before.
    FailedPrecondition = 9, "FAILED_PRECONDITION", 400, false;
    /// Somebody else came first.
    Aborted = 10, "ABORTED", 409, false;
    /// Beyond the end of what there is.
    OutOfRange = 11, "OUT_OF_RANGE", 400, false;
    /// This server does not do that.
    Unimplemented = 12, "UNIMPLEMENTED", 501, true;
    /// The server broke.
    Internal = 13, "INTERNAL", 500, true;
    /// The server does not serve now.
    Unavailable = 14, "UNAVAILABLE", 503, true;
    /// Data is lost for good.
    DataLoss = 15, "DATA_LOSS", 500, true;
    /// The server does not know who the caller is.
    Unauthenticated = 16, "UNAUTHENTICATED", 401, false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_lead_back_to_their_code() {
        for number in 0..=16 {
            let code = GrpcStatus::from_number(number);
            assert_eq!(code.number(), number);
            assert_eq!(GrpcStatus::from_name(code.name()), Some(code));
            let text = rmp_serde::to_vec_named(&code).unwrap();
            assert_eq!(rmp_serde::from_slice::<GrpcStatus>(&text).unwrap(), code);
        }
        assert_eq!(GrpcStatus::from_number(99), GrpcStatus::Unknown);
        assert_eq!(GrpcStatus::from_name("unavailable"), None);
    }

    #[test]
    fn what_a_caller_did_wrong_is_no_failure_and_no_server_error() {
        for number in 0..=16 {
            let code = GrpcStatus::from_number(number);
            assert_eq!(code.is_failure(), code.http() >= 500, "{}", code.name());
        }
        let failures = (0..=16)
            .map(GrpcStatus::from_number)
            .filter(|code| code.is_failure());
        assert_eq!(
            failures.map(GrpcStatus::number).collect::<Vec<_>>(),
            [2, 4, 12, 13, 14, 15]
        );
    }
}
