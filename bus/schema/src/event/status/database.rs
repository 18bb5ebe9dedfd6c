//! Errors of databases.

use serde::{Deserialize, Serialize};

/// What speaks with its clients so; the names of OpenTelemetry's `db.system.name`. What is compatible speaks so too: Valkey as
/// Redis, `CockroachDB` as `PostgreSQL`, `MariaDB` as `MySQL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DatabaseSystem {
    /// Redis.
    Redis,
    /// `PostgreSQL`.
    Postgresql,
    /// `MySQL`.
    Mysql,
    /// One of a later version.
    #[default]
    #[serde(other)]
    Unknown,
}

impl DatabaseSystem {
    /// As it is written.
    pub fn name(self) -> &'static str {
        match self {
            Self::Redis => "Redis",
            Self::Postgresql => "PostgreSQL",
            Self::Mysql => "MySQL",
            Self::Unknown => "database",
        }
    }
}

/// A query that a database did not answer well.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct DatabaseError {
    /// Which database.
    pub system: DatabaseSystem,
    /// What it calls the error: the first word of Redis (`OOM`), SQLSTATE of `PostgreSQL` (`53300`), `MySQL`'s number (`1040`).
    /// Empty where there was no answer.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub code: String,
}

/// What is known of the error codes of one database: what they mean, in words that continue "Redis: ".
macro_rules! meanings {
    ($($system:ident { $($code:literal = $meaning:literal,)+ })+) => {
        impl DatabaseError {
            /// What the code means; `None` where it is not among those that tell of a failure that operators meet.
            pub fn meaning(&self) -> Option<&'static str> {
                match self.system {
                    $(DatabaseSystem::$system => match self.code.as_str() {
                        $($code => Some($meaning),)+
                        _ => None,
                    },)+
                    DatabaseSystem::Unknown => None,
                }
            }
        }
    };
}

meanings! {
    Redis {
        "OOM" = "out of memory",
        "LOADING" = "loading its data",
        "MISCONF" = "cannot save to disk",
        "READONLY" = "a read-only replica",
        "CLUSTERDOWN" = "cluster down",
        "MASTERDOWN" = "master down",
        "NOREPLICAS" = "too few replicas",
        "NOAUTH" = "authentication required",
        "WRONGPASS" = "wrong password",
        "NOPERM" = "no permission",
        "BUSY" = "busy with a script",
        "ERR" = "too many clients",
        "TRYAGAIN" = "resharding",
    }
    Postgresql {
        "08006" = "connection failure",
        "25006" = "read-only",
        "28000" = "role not allowed",
        "28P01" = "wrong password",
        "3D000" = "no such database",
        "3F000" = "no such schema",
        "42501" = "no permission",
        "42601" = "syntax error",
        "42703" = "no such column",
        "42883" = "no such function",
        "42P01" = "no such table",
        "53100" = "disk full",
        "53200" = "out of memory",
        "53300" = "too many connections",
        "55P03" = "locked",
        "57014" = "query cancelled",
        "57P01" = "shut down",
        "57P02" = "crash of a neighbour",
        "57P03" = "starting or stopping",
        "57P05" = "idle session",
        "58030" = "I/O error",
        "XX000" = "internal error",
        "XX001" = "corrupt data",
    }
    Mysql {
        "1021" = "disk full",
        "1037" = "out of memory",
        "1040" = "too many connections",
        "1044" = "no permission",
        "1045" = "access denied",
        "1049" = "no such database",
        "1053" = "shutting down",
        "1054" = "no such column",
        "1064" = "syntax error",
        "1114" = "table full",
        "1142" = "no permission",
        "1146" = "no such table",
        "1203" = "too many connections of one user",
        "1205" = "lock not had in time",
        "1290" = "read-only",
        "1836" = "read-only",
        "3024" = "query took too long",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_means_what_its_own_database_means_by_it() {
        let error = |system, code: &str| DatabaseError {
            system,
            code: code.into(),
        };
        assert_eq!(
            error(DatabaseSystem::Postgresql, "53300").meaning(),
            Some("too many connections")
        );
        assert_eq!(error(DatabaseSystem::Mysql, "53300").meaning(), None);
        assert_eq!(error(DatabaseSystem::Redis, "NEWER").meaning(), None);
    }

    #[test]
    fn a_database_of_a_later_version_is_read_as_unknown() {
        let bytes =
            rmp_serde::to_vec_named(&std::collections::BTreeMap::from([("system", "clickhouse")])).unwrap();
        let error: DatabaseError = rmp_serde::from_slice(&bytes).unwrap();
        assert_eq!(error.system, DatabaseSystem::Unknown);
        assert_eq!(error.code, "");
    }
}
