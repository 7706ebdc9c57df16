"""The plain reading of policy: `evaluate` one connection against a World, the way the specifications tell it.

Nothing is compiled and nothing shared with the compiler but objects and selectors: this is what the kernel's tables are
compared with. judge.py walks tiers and profiles; how a policy reads its own rules is in a module for each API.
"""

from agent.policy.evaluate.judge import Judge, evaluate

__all__ = ["Judge", "evaluate"]
