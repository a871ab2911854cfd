"""`blackbox top`: what a server tells, as screens of a terminal. It knows the client, the model and the looks of
terminals alone, and asks what any client may ask.

Data flows one way: `feed` keeps what servers tell, `view` what the reader looks at, `answers` what was asked for that;
`scene` is all of it at one instant, `pages` make lines of text of a scene, `app` draws them and acts on keys.
"""
