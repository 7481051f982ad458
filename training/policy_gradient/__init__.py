"""Policy gradients: from rewards to advantages, and from advantages to a loss."""
