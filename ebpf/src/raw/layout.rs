//! What all mirrors share: the head, the task, and the macro that pairs a struct with its C layout.
#![expect(
    unsafe_code,
    reason = "records are plain integers copied out of bytes whose length was checked"
)]

/// Why bytes are not a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Fewer bytes than the C struct has.
    #[error("{name} needs {expected} bytes, got {got}")]
    Short {
        /// The C struct.
        name: &'static str,
        /// Its size, bytes.
        expected: usize,
        /// What came, bytes.
        got: usize,
    },
    /// A kind this version does not know.
    #[error("unknown record kind {0}")]
    Kind(u32),
}

/// One field of a C struct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, the same in C and Rust.
    pub name: &'static str,
    /// Bytes from the start.
    pub offset: usize,
    /// Bytes.
    pub size: usize,
}

/// A mirror's own account of its layout, compared with the object's BTF by a test.
pub trait Layout: Copy {
    /// The C struct's name.
    const NAME: &'static str;
    /// Every field in order.
    const FIELDS: &'static [Field];

    /// Copies the struct out of the front of `bytes`.
    fn parse(bytes: &[u8]) -> Result<Self, Error>;
}

/// Declares a `#[repr(C)]` mirror of integers only, with its [`Layout`].
macro_rules! mirror {
    ($(#[$doc:meta])* $name:ident = $c:literal { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[repr(C)]
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
        }

        // SAFETY: repr(C), integers and arrays of them only, and the C side leaves no implicit padding (its sizes are
        // asserted and the layout test compares every field), so any bytes are a valid value.
        unsafe impl aya::Pod for $name {}

        impl $crate::raw::layout::Layout for $name {
            const NAME: &'static str = $c;
            const FIELDS: &'static [$crate::raw::layout::Field] = &[
                $($crate::raw::layout::Field {
                    name: stringify!($field),
                    offset: std::mem::offset_of!($name, $field),
                    size: size_of::<$type>(),
                },)*
            ];

            fn parse(bytes: &[u8]) -> Result<Self, $crate::raw::layout::Error> {
                $crate::raw::layout::read(bytes, $c)
            }
        }
    };
}
pub(super) use mirror;

/// Declares an enum whose numbers are those of a C enum, and finds its members by them.
macro_rules! numbered {
    ($(#[$doc:meta])* $name:ident { $($(#[$member_doc:meta])* $member:ident = $number:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(u32)]
        pub enum $name {
            $($(#[$member_doc])* $member = $number,)+
        }

        impl $name {
            /// The one that a record's or a key's number stands for.
            pub fn from_number(number: u32) -> Option<Self> {
                match number {
                    $($number => Some(Self::$member),)+
                    _ => None,
                }
            }
        }
    };
}
pub(super) use numbered;

/// Copies a `T` out of the front of `bytes`.
pub(super) fn read<T: aya::Pod>(bytes: &[u8], name: &'static str) -> Result<T, Error> {
    let expected = size_of::<T>();
    if bytes.len() < expected {
        return Err(Error::Short {
            name,
            expected,
            got: bytes.len(),
        });
    }
    // SAFETY: the length was checked, the read is unaligned, and Pod admits any bytes.
    Ok(unsafe { bytes.as_ptr().cast::<T>().read_unaligned() })
}

mirror! {
    /// The front of every record.
    Head = "tapio_head" {
        /// The number of its kind.
        kind: u32,
        /// The whole record, bytes.
        size: u32,
        /// When it happened: `CLOCK_BOOTTIME`, ns.
        time_ns: u64,
    }
}

mirror! {
    /// A process as the kernel knew it at that moment; zeros where unknown.
    Task = "tapio_task" {
        /// When its leader started: `CLOCK_BOOTTIME`, ns. With `tgid` it names the process for ever.
        start_ns: u64,
        /// Inode of its directory in the memory hierarchy (v1) or the unified one (v2).
        cgroup_id: u64,
        /// The process, in the root pid namespace.
        tgid: u32,
        /// The thread.
        tid: u32,
        /// The process's name: that of its first thread.
        comm: [u8; 16],
    }
}
