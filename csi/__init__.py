"""What an orchestrator of storage sees: the Container Storage Interface over gRPC, in a process of its own.

server        the sockets; errors become gRPC codes
identity controller node registration   one service each
validate      requests to values, before anything is looked up
pending       one operation a volume; the second caller is told at once
agent         the agent, over its socket
wire/         the definitions and what protoc makes of them
"""
