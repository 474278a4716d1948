"""A small MCP server made with the reference library, over standard input and output; used by a test of src/tools/mcp.rs."""

from mcp.server.fastmcp import FastMCP

server = FastMCP("orders")


@server.tool()
def order_status(order_number: str) -> dict:
    """Looks up where an order is."""
    if order_number == "000500":
        raise ValueError("the warehouse is closed")
    return {"state": "packed", "order_number": order_number}


if __name__ == "__main__":
    server.run()
