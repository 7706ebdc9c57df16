"""What keeps one object in step with another: Deployments with their pods, Namespaces with their content."""

from agent.controllers.manager import Controllers, Storage, start

__all__ = ["Controllers", "Storage", "start"]
