"""Numbers of the nf_tables netlink protocol (linux/netfilter/nf_tables.h and nfnetlink.h), named as the kernel names them.

Only what this package uses. Numbers are network byte order inside attributes, with few exceptions that the
encoders name.
"""

from __future__ import annotations

import struct
from enum import IntEnum

from agent.kernel.netlink import attr, nested

SUBSYSTEM = 10
BATCH_BEGIN, BATCH_END = 0x10, 0x11
BATCH_GENID = 1


class Msg(IntEnum):
    NEWTABLE = 0
    GETTABLE = 1
    DELTABLE = 2
    NEWCHAIN = 3
    GETCHAIN = 4
    DELCHAIN = 5
    NEWRULE = 6
    GETRULE = 7
    DELRULE = 8
    NEWSET = 9
    GETSET = 10
    DELSET = 11
    NEWSETELEM = 12
    GETSETELEM = 13
    DELSETELEM = 14
    NEWGEN = 15
    GETGEN = 16
    DESTROYTABLE = 26
    DESTROYCHAIN = 27
    DESTROYSET = 29
    DESTROYSETELEM = 30

    @property
    def kind(self) -> int:
        """The message type on the wire."""
        return SUBSYSTEM << 8 | self.value


class Family(IntEnum):
    INET = 1
    IP = 2
    ARP = 3
    NETDEV = 5
    BRIDGE = 7
    IP6 = 10

    def __str__(self) -> str:
        return self.name.lower()


class TableAttr(IntEnum):
    NAME = 1
    FLAGS = 2
    USERDATA = 6
    OWNER = 7


TABLE_OWNER, TABLE_PERSIST = 0x2, 0x4


class ChainAttr(IntEnum):
    TABLE = 1
    NAME = 3
    HOOK = 4
    POLICY = 5
    TYPE = 7
    USERDATA = 12


class HookAttr(IntEnum):
    NUMBER = 1
    PRIORITY = 2
    DEVICE = 3


class RuleAttr(IntEnum):
    TABLE = 1
    CHAIN = 2
    EXPRESSIONS = 4
    USERDATA = 7


class SetAttr(IntEnum):
    TABLE = 1
    NAME = 2
    FLAGS = 3
    KEY_TYPE = 4
    KEY_LEN = 5
    DATA_TYPE = 6
    DATA_LEN = 7
    DESC = 9
    ID = 10
    TIMEOUT = 11
    USERDATA = 13


class SetFlag(IntEnum):
    ANONYMOUS = 0x1
    CONSTANT = 0x2
    INTERVAL = 0x4
    MAP = 0x8
    TIMEOUT = 0x10
    CONCAT = 0x80


DESC_SIZE, DESC_CONCAT, FIELD_LENGTH = 1, 2, 1
DATA_TYPE_VERDICT = 0xFFFFFF00


class ElementListAttr(IntEnum):
    TABLE = 1
    SET = 2
    ELEMENTS = 3
    SET_ID = 4


class ElementAttr(IntEnum):
    KEY = 1
    DATA = 2
    FLAGS = 3
    TIMEOUT = 4
    USERDATA = 6
    KEY_END = 10


ELEMENT_INTERVAL_END = 0x1
LIST_ELEMENT = 1
EXPR_NAME, EXPR_DATA = 1, 2
DATA_VALUE, DATA_VERDICT = 1, 2
VERDICT_CODE, VERDICT_CHAIN = 1, 2
GEN_ID, GEN_PROC_PID, GEN_PROC_NAME = 1, 2, 3

_NFGENMSG = struct.Struct("=BBH")


def nfgenmsg(family: int, resource: int = 0) -> bytes:
    """The header of every nfnetlink message; `resource` is big-endian on the wire."""
    return _NFGENMSG.pack(family, 0, (resource & 0xFF) << 8 | resource >> 8)


def value(kind: int, data: bytes) -> bytes:
    """NFTA_DATA_VALUE inside the attribute `kind`."""
    return nested(kind, attr(DATA_VALUE, data))
