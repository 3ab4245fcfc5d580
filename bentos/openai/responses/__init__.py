"""``/v1/responses`` in front of any language model: its requests become chats, answers its events.

Read ``response_request`` (with ``input_items``) → the gateway → ``response_object`` or ``response_events``.
"""
