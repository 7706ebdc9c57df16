"""nf_tables over our own netlink: rulesets as values that print as nft(8) text and encode themselves.

    objects, datatypes, verdict   Table, Chain, Set, Element, Ruleset; the types of keys and data
    fields, match, statements     what a rule looks at and does
    batch, transaction            put, destroy, replace; one datagram per batch
    session, ensure               Nft: the one writer; ensure_ruleset: from any state to the wanted one

What the kernel forces: a batch is all or nothing; an element that exists with other data is refused, deleting an
absent one too (unless by DESTROY, kernel 6.3); anonymous sets are named by number inside the batch; only the
socket that owns a table may write it. libnftables and `nft` are used by tests only: they reload the whole ruleset
for every foreign change and abort the process on a bug.
"""

from agent.kernel.nft.batch import Batch, destroy, put, replace
from agent.kernel.nft.decode import TableState
from agent.kernel.nft.ensure import ensure_ruleset, remove_ruleset
from agent.kernel.nft.objects import VERDICT, Chain, Element, Hook, Rule, Ruleset, Set, Table, rule
from agent.kernel.nft.session import Nft
from agent.kernel.nft.verdict import ACCEPT, CONTINUE, DROP, RETURN, Verdict, goto, jump
from agent.kernel.nft.wire import Family

__all__ = [
    "ACCEPT",
    "CONTINUE",
    "DROP",
    "RETURN",
    "VERDICT",
    "Batch",
    "Chain",
    "Element",
    "Family",
    "Hook",
    "Nft",
    "Rule",
    "Ruleset",
    "Set",
    "Table",
    "TableState",
    "Verdict",
    "destroy",
    "ensure_ruleset",
    "goto",
    "jump",
    "put",
    "remove_ruleset",
    "replace",
    "rule",
]
